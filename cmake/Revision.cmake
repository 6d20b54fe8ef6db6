# Writes OUT, which defines kRevision (apps/cli/revision.h) as git describes ROOT; touches it only
# when that has changed.
execute_process(COMMAND git -C ${ROOT} describe --always --dirty --tags
                OUTPUT_VARIABLE revision OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET
                RESULT_VARIABLE failed)
if(failed)
  set(revision "")
endif()
file(WRITE ${OUT}.new "#include \"apps/cli/revision.h\"\n
namespace shardwise {\nconst char* const kRevision = \"${revision}\";\n}\n")
file(COPY_FILE ${OUT}.new ${OUT} ONLY_IF_DIFFERENT)
file(REMOVE ${OUT}.new)
