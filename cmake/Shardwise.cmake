# Build helpers: compiler settings, one library per folder, embedded data, tests and benchmarks.

set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)

option(SHARDWISE_TESTS "Build the tests" ON)
option(SHARDWISE_BENCH "Build the benchmarks" ON)
option(SHARDWISE_FUZZ "Build the libFuzzer targets, and nothing they do not need" OFF)
set(SHARDWISE_SANITIZE "" CACHE STRING "Comma-separated sanitizers, for example address,undefined")

# -ffp-contract=off: a fused multiply-add would make results depend on the host's instruction set.
add_compile_options(-ffp-contract=off -fno-math-errno)
set(SHARDWISE_WARNINGS -Wall -Wextra -Wshadow -Wnon-virtual-dtor -Wimplicit-fallthrough -Werror)

if(SHARDWISE_SANITIZE)
  add_compile_options(-fsanitize=${SHARDWISE_SANITIZE} -fno-omit-frame-pointer
                      -fno-sanitize-recover=all)
  add_link_options(-fsanitize=${SHARDWISE_SANITIZE})
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    # Instrumented, libstdc++'s own std::regex looks uninitialised to GCC 12.
    add_compile_options(-Wno-maybe-uninitialized)
  endif()
endif()

find_program(CCACHE_PROGRAM ccache)
if(CCACHE_PROGRAM)
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CCACHE_PROGRAM})
endif()

# sw_target_name("sim/net" out) -> sw_sim_net. Other names (imported targets) pass through.
function(sw_target_name name out)
  if(name MATCHES "^(kernels|model|sim|apps|reports)/|^reports$")
    string(REPLACE "/" "_" flat ${name})
    set(${out} sw_${flat} PARENT_SCOPE)
  else()
    set(${out} ${name} PARENT_SCOPE)
  endif()
endfunction()

# sw_library(FOLDER DEPS a b PRIVATE c): every .cc of FOLDER but *_test.cc and main.cc; a test binary
# from its *_test.cc.
function(sw_library folder)
  cmake_parse_arguments(ARG "" "" "DEPS;PRIVATE" ${ARGN})
  sw_target_name(${folder} target)
  file(GLOB sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/${folder}/*.cc)
  set(tests ${sources})
  list(FILTER tests INCLUDE REGEX "_test\\.cc$")
  list(FILTER sources EXCLUDE REGEX "(_test|/main)\\.cc$")

  set(public_deps "")
  foreach(dep ${ARG_DEPS})
    sw_target_name(${dep} dep_target)
    list(APPEND public_deps ${dep_target})
  endforeach()

  if(sources)
    add_library(${target} STATIC ${sources})
    target_include_directories(${target} PUBLIC ${PROJECT_SOURCE_DIR})
    target_compile_options(${target} PRIVATE ${SHARDWISE_WARNINGS})
    target_link_libraries(${target} PUBLIC ${public_deps} PRIVATE ${ARG_PRIVATE})
  else()
    add_library(${target} INTERFACE)
    target_include_directories(${target} INTERFACE ${PROJECT_SOURCE_DIR})
    target_link_libraries(${target} INTERFACE ${public_deps})
  endif()
  if(tests AND SHARDWISE_TESTS)
    sw_test(${target}_test ${tests})
    target_link_libraries(${target}_test PRIVATE ${target} ${ARG_PRIVATE})
  endif()
endfunction()

# Test binary; gtest's own main, tests found when ctest runs.
function(sw_test target)
  include(GoogleTest)
  add_executable(${target} ${ARGN})
  target_include_directories(${target} PRIVATE ${PROJECT_SOURCE_DIR})
  target_compile_options(${target} PRIVATE ${SHARDWISE_WARNINGS})
  target_compile_definitions(${target} PRIVATE SHARDWISE_SOURCE_DIR="${PROJECT_SOURCE_DIR}")
  target_link_libraries(${target} PRIVATE GTest::gtest_main rapidcheck)
  gtest_discover_tests(${target} DISCOVERY_MODE PRE_TEST
                       WORKING_DIRECTORY ${PROJECT_SOURCE_DIR} PROPERTIES TIMEOUT 600)
endfunction()

# tests/<name>_test.cc: what crosses modules; each its own binary linked with everything.
function(sw_cross_tests folder)
  if(NOT SHARDWISE_TESTS)
    return()
  endif()
  file(GLOB sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/${folder}/*_test.cc)
  foreach(source ${sources})
    get_filename_component(name ${source} NAME_WE)
    sw_test(cross_${name} ${source})
    target_link_libraries(cross_${name} PRIVATE sw_apps_cli sw_sim_validate)
    target_compile_definitions(cross_${name} PRIVATE SHARDWISE_BINARY="$<TARGET_FILE:shardwise>")
    add_dependencies(cross_${name} shardwise)
  endforeach()
endfunction()

# tests/fuzz/<name>.cc with libFuzzer's main, linked with the library of FOLDER.
function(sw_fuzzer name folder)
  sw_target_name(${folder} target)
  add_executable(${name} ${PROJECT_SOURCE_DIR}/tests/fuzz/${name}.cc)
  target_compile_options(${name} PRIVATE ${SHARDWISE_WARNINGS})
  target_link_options(${name} PRIVATE -fsanitize=fuzzer)
  target_link_libraries(${name} PRIVATE ${target})
endfunction()

# bench/<name>_bench.cc: Google Benchmark binaries.
function(sw_benchmarks folder)
  if(NOT SHARDWISE_BENCH)
    return()
  endif()
  file(GLOB sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/${folder}/*_bench.cc)
  foreach(source ${sources})
    get_filename_component(name ${source} NAME_WE)
    add_executable(${name} ${source})
    target_include_directories(${name} PRIVATE ${PROJECT_SOURCE_DIR})
    target_compile_options(${name} PRIVATE ${SHARDWISE_WARNINGS})
    target_compile_definitions(${name} PRIVATE SHARDWISE_BINARY="$<TARGET_FILE:shardwise>")
    target_link_libraries(${name} PRIVATE sw_apps_cli benchmark::benchmark_main)
    add_dependencies(${name} shardwise)
  endforeach()
endfunction()

# sw_embed(LIBRARY FOLDER...): compiles every file below the folders into the library
# (kernels/base/embedded.h finds them by path), so that a bare binary works when copied.
function(sw_embed library)
  sw_target_name(${library} target)
  list(TRANSFORM ARGN PREPEND ${PROJECT_SOURCE_DIR}/ OUTPUT_VARIABLE patterns)
  list(TRANSFORM patterns APPEND /*)
  file(GLOB_RECURSE files CONFIGURE_DEPENDS RELATIVE ${PROJECT_SOURCE_DIR} ${patterns})
  set(generated ${PROJECT_BINARY_DIR}/embedded_data.cc)
  add_custom_command(
    OUTPUT ${generated}
    COMMAND ${CMAKE_COMMAND} -DOUT=${generated} -DROOT=${PROJECT_SOURCE_DIR} "-DFILES=${files}"
            -P ${PROJECT_SOURCE_DIR}/cmake/Embed.cmake
    DEPENDS ${files} ${PROJECT_SOURCE_DIR}/cmake/Embed.cmake
    WORKING_DIRECTORY ${PROJECT_SOURCE_DIR}
    VERBATIM)
  target_sources(${target} PRIVATE ${generated})
endfunction()

# Target sw_revision: FILE says which source this is, anew at every build.
function(sw_revision file)
  add_custom_target(sw_revision
    COMMAND ${CMAKE_COMMAND} -DOUT=${file} -DROOT=${PROJECT_SOURCE_DIR}
            -P ${PROJECT_SOURCE_DIR}/cmake/Revision.cmake
    BYPRODUCTS ${file}
    VERBATIM)
  set_source_files_properties(${file} PROPERTIES INCLUDE_DIRECTORIES ${PROJECT_SOURCE_DIR})
endfunction()

# Installs what `shardwise ARGUMENTS` prints as the file DESTINATION.
function(sw_install_output arguments destination)
  cmake_path(GET destination FILENAME name)
  cmake_path(GET destination PARENT_PATH folder)
  string(MAKE_C_IDENTIFIER "${arguments}" id)
  set(file ${PROJECT_BINARY_DIR}/install/${id})
  install(CODE "
    file(MAKE_DIRECTORY ${PROJECT_BINARY_DIR}/install)
    execute_process(COMMAND $<TARGET_FILE:shardwise> ${arguments}
                    OUTPUT_FILE ${file} COMMAND_ERROR_IS_FATAL ANY)" COMPONENT cli)
  install(FILES ${file} DESTINATION ${folder} RENAME ${name} COMPONENT cli)
endfunction()
