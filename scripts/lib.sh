# Shared by the scripts here and in .ci; sourced, never run. Leaves the caller in the repository's
# root with strict error handling.
set -euo pipefail
export LC_ALL=C.UTF-8
cd "$(dirname "${BASH_SOURCE[0]}")/.."

say() { printf '\n== %s\n' "$*"; }

fail() {
  printf 'error: %s\n' "$*" >&2
  exit 1
}

# Package names of the sections of scripts/packages.txt given as arguments.
packages_of() {
  awk -v wanted=" $* " '
    { sub(/#.*/, ""); gsub(/[ \t]/, "") }
    /^\[/ { section = $0; gsub(/[][]/, "", section); next }
    $0 != "" && index(wanted, " " section " ") { print; count++ }
    END { exit count == 0 }' scripts/packages.txt ||
    fail "scripts/packages.txt has no packages in section: $*"
}

# A package that another one provides (npm, in some builds of nodejs) is not missing.
missing_packages() {
  local installed name
  installed=$(dpkg-query -W -f '${db:Status-Status} ${Package}, ${Provides}\n' |
    sed -n 's/^installed //p' | sed 's/([^)]*)//g; s/ //g' | tr ',' '\n')
  for name in $(packages_of "$@"); do
    grep -qxF -- "$name" <<<"$installed" || printf '%s\n' "$name"
  done
}

# install_packages SECTION...: installs what is missing; asks dpkg only when nothing is.
install_packages() {
  if ! command -v dpkg-query >/dev/null; then
    fail "this needs Debian 12's packages ($(packages_of "$@" | tr '\n' ' '))" \
      "and found no dpkg here"
  fi
  local missing
  missing=$(missing_packages "$@" | tr '\n' ' ')
  if [[ -z $missing ]]; then
    say "Debian packages for $*: nothing to install"
    return
  fi
  local as_root=()
  if [[ $(id -u) != 0 ]]; then
    command -v sudo >/dev/null || fail "these packages are missing, and this is neither root nor" \
      "a user with sudo. Let root run: apt-get install --no-install-recommends $missing"
    as_root=(sudo)
  fi
  say "Installing Debian packages: $missing"
  local apt=("${as_root[@]}" env DEBIAN_FRONTEND=noninteractive
    apt-get -qq -o Dpkg::Use-Pty=0 -o DPkg::Lock::Timeout=300)
  mkdir -p build
  # shellcheck disable=SC2086  # one word per package
  if ! { "${apt[@]}" update && "${apt[@]}" install -y --no-install-recommends $missing; } \
    >build/apt.log 2>&1 </dev/null; then
    tail -30 build/apt.log >&2
    fail "apt-get could not install: $missing(whole log: build/apt.log)"
  fi
}

# Parallel compilations: one per core, and 1.5 GB of free memory for each.
build_jobs() {
  local cores by_memory
  cores=$(nproc)
  by_memory=$(awk '/^MemAvailable/ { n = int($2 / 1500000) } END { print n + 0 }' \
    /proc/meminfo 2>/dev/null || true)
  if [[ -n $by_memory ]] && ((by_memory > 0 && by_memory < cores)); then
    printf '%s\n' "$by_memory"
  else
    printf '%s\n' "$cores"
  fi
}

# build PRESET [TARGET...]: configures once (ninja repeats that by itself when CMake files change)
# and brings the targets, or everything, up to date.
build() {
  local preset=$1
  shift
  say "Building preset $preset: ${*:-everything}"
  if [[ ! -f build/$preset/build.ninja ]]; then
    mkdir -p build
    cmake --preset "$preset" >"build/$preset.configure.log" 2>&1 || {
      tail -40 "build/$preset.configure.log" >&2
      fail "cmake --preset $preset failed (whole log: build/$preset.configure.log)"
    }
  fi
  CMAKE_BUILD_PARALLEL_LEVEL=${CMAKE_BUILD_PARALLEL_LEVEL:-$(build_jobs)} \
    cmake --build --preset "$preset" ${1:+--target "$@"}
}

# Every file of the project below the current folder, one per line, sorted: what git would commit,
# or, outside a git work tree, what is there.
project_files() {
  if [[ $(git rev-parse --show-cdup 2>/dev/null || echo none) == "" ]]; then
    # A file deleted but not yet committed is still listed.
    git ls-files --cached --others --exclude-standard | while IFS= read -r file; do
      [[ ! -f $file ]] || printf '%s\n' "$file"
    done | sort -u
  else
    find . \( -path ./.git -o -path ./build \) -prune -o -type f -print | sed 's|^\./||' | sort
  fi
}

code_files() { project_files | grep -E '^(kernels|model|sim|reports|apps|tests|bench)/.*\.(h|cc)$'; }
