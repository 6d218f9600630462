#!/bin/sh
# Installs what corq needs, from the distribution's own packages.
#
#   deploy/install-deps.sh SET...
#
#   build  a C compiler, make, pkg-config; hiredis, libevent, jansson; OpenSSL
#          where hiredis can use it, but never at the price of failing
#   run    redis-server and redis-cli, or valkey's
#   test   build, run, cmocka, and openssl where hiredis has TLS
#   lint   build, cmocka, clang-format and pmccabe
#   check  valgrind, clang with its sanitizers, and where they are packaged
#          an aarch64 cross-compiler and qemu
#   fuzz   build, clang with its fuzzer
#   coverage  gcovr
#   bench  run, and what the benchmarks compare with where it is packaged: the
#          library of Boost's contexts
#
# It looks for the things themselves and not for packages, so one built by
# hand counts. With nothing missing it says nothing and is done in some
# milliseconds: the Makefile calls it each time. Otherwise it says what it will
# install, and ends with 1 and the reason when that can't be done.
set -eu

say() {
    printf 'install-deps: %s\n' "$*"
}

die() {
    printf 'install-deps: %s\n' "$*" >&2
    exit 1
}

has() {
    command -v "$1" >/dev/null 2>&1
}

# --- what a set consists of, and whether it is there ------------------------

needs_of() {
    case $1 in
    base) echo compiler libc-headers make pkg-config hiredis libevent jansson ;;
    build) echo "$(needs_of base) hiredis-tls" ;;
    run) echo redis-server redis-cli ;;
    test) echo "$(needs_of base) $(needs_of run) cmocka tls-command" ;;
    lint) echo "$(needs_of base) cmocka clang-format pmccabe" ;;
    check) echo valgrind clang clang-runtime aarch64-gcc aarch64-libc qemu-aarch64 ;;
    fuzz) echo "$(needs_of build) clang clang-runtime" ;;
    coverage) echo gcovr ;;
    bench) echo "$(needs_of run) boost-context" ;;
    *) return 1 ;;
    esac
}

compiler=${CC:-cc}
compiler=${compiler%% *}

compiles() {
    printf '%s\n' "$1" | $compiler -fsyntax-only -x c - >/dev/null 2>&1
}

has_library() {
    pkg-config --exists "$@" 2>/dev/null
}

is_there() {
    case $1 in
    compiler) has "$compiler" ;;
    # A compiler may be installed without them; asking it takes longer.
    libc-headers) [ -e /usr/include/stdio.h ] || compiles '#include <stdio.h>' ;;
    # The Makefile takes the flags of these from pkg-config, so a header alone
    # would not do.
    hiredis | jansson) has_library "$1" ;;
    libevent) has_library libevent libevent_extra ;;
    # An hiredis without TLS, as it was before 1.0, has no use for OpenSSL.
    hiredis-tls) has_library openssl || is_without_tls ;;
    tls-command) has openssl || ! has_library hiredis_ssl openssl ;;
    cmocka) has_library cmocka || compiles '#include <stdarg.h>
        #include <stddef.h>
        #include <stdint.h>
        #include <setjmp.h>
        #include <cmocka.h>' ;;
    redis-server | redis-cli) has "$1" || has "valkey${1#redis}" ;;
    clang-runtime) has_clang_runtime ;;
    aarch64-gcc) has aarch64-linux-gnu-gcc ;;
    aarch64-libc) has_aarch64_libc ;;
    qemu-aarch64) has qemu-aarch64-static || has qemu-aarch64 ;;
    boost-context) has_boost_context ;;
    *) has "$1" ;;
    esac
}

is_without_tls() {
    has_library hiredis && ! has_library hiredis_ssl
}

has_clang_runtime() {
    has clang || return 1
    # Beside the real file is its library folder; asking clang takes longer.
    bin=$(dirname "$(readlink -f "$(command -v clang)")")
    for file in "$bin"/../lib*/clang/*/lib/*/libclang_rt.asan*.a; do
        [ -e "$file" ] && return 0
    done
    return 1
}

# The compiler names the file that it would link, or echoes a bare name.
has_aarch64_libc() {
    [ -e /usr/aarch64-linux-gnu/lib/crt1.o ] && return 0
    has aarch64-linux-gnu-gcc || return 1
    [ "$(aarch64-linux-gnu-gcc -print-file-name=crt1.o)" != crt1.o ]
}

# No headers are needed: it is looked for while the benchmark runs.
has_boost_context() {
    any_exists /usr/lib/*/libboost_context.so* ||
        any_exists /usr/lib64/libboost_context.so* ||
        any_exists /usr/lib/libboost_context.so*
}

missing_of() {
    for need in $1; do
        is_there "$need" || printf '%s ' "$need"
    done
}

# --- package names ----------------------------------------------------------
# Alternatives in order of preference are joined by "|"; "-" marks what the
# distribution does not package and the set can do without.

package_apt() {
    case $1 in
    compiler) case $compiler in clang*) echo clang ;; *) echo gcc ;; esac ;;
    libc-headers) echo libc6-dev ;;
    hiredis | libevent | jansson | cmocka) echo "lib${1#lib}-dev" ;;
    redis-server) echo 'redis-server|valkey-server' ;;
    redis-cli) echo 'redis-tools|valkey-tools' ;;
    hiredis-tls) echo 'libssl-dev|-' ;;
    tls-command) echo openssl ;;
    boost-context) echo 'libboost-context-dev|-' ;;
    clang-runtime) clang_runtime_apt ;;
    aarch64-gcc) echo 'gcc-aarch64-linux-gnu|-' ;;
    aarch64-libc) echo 'libc6-dev-arm64-cross|-' ;;
    qemu-aarch64) echo 'qemu-user-static|qemu-user|-' ;;
    *) echo "$1" ;;
    esac
}

# clang is a name for clang-14, or another number, and the runtime has no
# such name in every release.
clang_runtime_apt() {
    apt-cache depends clang 2>/dev/null |
        sed -n 's/^ *Depends: clang-\([0-9]*\)$/libclang-rt-\1-dev|-/p'
}

package_dnf() {
    case $1 in
    compiler) case $compiler in clang*) echo clang ;; *) echo gcc ;; esac ;;
    libc-headers) echo glibc-devel ;;
    pkg-config) echo pkgconf-pkg-config ;;
    hiredis | libevent | jansson) echo "$1-devel" ;;
    cmocka) echo libcmocka-devel ;;
    hiredis-tls) echo 'openssl-devel|-' ;;
    tls-command) echo openssl ;;
    redis-server | redis-cli) echo 'redis|valkey' ;;
    boost-context) echo 'boost-context|-' ;;
    clang-format) echo clang-tools-extra ;;
    clang-runtime) echo compiler-rt ;;
    aarch64-* | qemu-aarch64) echo - ;;
    *) echo "$1" ;;
    esac
}

package_apk() {
    case $1 in
    compiler) case $compiler in clang*) echo clang ;; *) echo gcc ;; esac ;;
    libc-headers) echo musl-dev ;;
    pkg-config) echo pkgconf ;;
    hiredis | libevent | jansson | cmocka) echo "$1-dev" ;;
    redis-server) echo 'redis|valkey' ;;
    redis-cli) echo 'redis|valkey-cli' ;;
    boost-context) echo - ;;
    clang-format) echo clang-extra-tools ;;
    clang-runtime) echo compiler-rt ;;
    aarch64-* | qemu-aarch64) echo - ;;
    *) echo "$1" ;;
    esac
}

package_pacman() {
    case $1 in
    compiler) case $compiler in clang*) echo clang ;; *) echo gcc ;; esac ;;
    libc-headers) echo glibc ;;
    pkg-config) echo pkgconf ;;
    hiredis-tls) echo 'openssl-dev|-' ;;
    tls-command) echo openssl ;;
    hiredis-tls) echo openssl ;;
    tls-command) echo openssl ;;
    redis-server | redis-cli) echo 'redis|valkey' ;;
    boost-context) echo 'boost-libs|-' ;;
    clang-format) echo clang ;;
    clang-runtime) echo compiler-rt ;;
    aarch64-gcc) echo 'aarch64-linux-gnu-gcc|-' ;;
    aarch64-libc) echo 'aarch64-linux-gnu-glibc|-' ;;
    qemu-aarch64) echo 'qemu-user-static|qemu-user|-' ;;
    *) echo "$1" ;;
    esac
}

# --- the package managers ---------------------------------------------------

find_manager() {
    for manager in apt-get dnf apk pacman; do
        if has $manager; then
            family=${manager%-get}
            return 0
        fi
    done
    return 1
}

is_packaged() {
    case $family in
    apt) apt-cache show "$1" ;;
    dnf) dnf -q list "$1" ;;
    apk) [ -n "$(apk search -e "$1")" ] ;;
    pacman) pacman -Si "$1" ;;
    esac >/dev/null 2>&1
}

# Whether the lists of packages have ever been fetched: in container images
# they mostly have not.
has_lists() {
    case $family in
    apt) any_exists /var/lib/apt/lists/*_Packages* ;;
    apk) is_packaged musl-dev ;;
    pacman) any_exists /var/lib/pacman/sync/*.db ;;
    dnf) true ;;
    esac
}

any_exists() {
    [ -e "$1" ]
}

refresh_lists() {
    case $family in
    apt) as_root apt-get -qq -o DPkg::Lock::Timeout=120 update ;;
    dnf) as_root dnf -q -y makecache ;;
    apk) as_root apk -q update ;;
    pacman) as_root pacman -Sy --noconfirm ;;
    esac >>"$log" 2>&1
}

install_packages() {
    case $family in
    apt) as_root apt-get -qq -y --no-install-recommends \
        -o DPkg::Lock::Timeout=120 install "$@" ;;
    dnf) as_root dnf -q -y install "$@" ;;
    apk) as_root apk -q add "$@" ;;
    pacman) as_root pacman -S --needed --noconfirm "$@" ;;
    esac >>"$log" 2>&1
}

as_root() {
    $sudo env DEBIAN_FRONTEND=noninteractive "$@" </dev/null
}

# The first alternative that exists; nothing for "-". Where none does, the
# first, so that the package manager's own message names it.
choose() {
    rest=$1\|
    while [ -n "$rest" ]; do
        candidate=${rest%%|*}
        rest=${rest#*|}
        case $1 in *\|*) ;; *) break ;; esac
        [ "$candidate" = - ] && break
        is_packaged "$candidate" && break
        candidate=${1%%|*}
    done
    [ "$candidate" = - ] || echo "$candidate"
}

packages_for() {
    for need in $1; do
        choose "$("package_$family" "$need")"
    done | sort -u | tr '\n' ' '
}

# Debian starts a service as soon as it is installed. corq starts a Redis of
# its own where it needs one, so the package's stays off until somebody
# enables it. A runtime mask is gone after the next boot at the latest.
without_redis_service() {
    case "$family $packages" in
    "apt "*redis-server*) service=redis-server.service ;;
    "apt "*valkey-server*) service=valkey-server.service ;;
    *) service= ;;
    esac
    if [ -z "$service" ] || ! [ -d /run/systemd/system ]; then
        "$@"
        return
    fi
    as_root systemctl --quiet --runtime mask $service >>"$log" 2>&1 || true
    status=0
    "$@" || status=$?
    as_root systemctl --quiet --runtime unmask $service >>"$log" 2>&1 || true
    as_root systemctl --quiet disable $service >>"$log" 2>&1 || true
    return $status
}

# --- main -------------------------------------------------------------------

[ $# -gt 0 ] || die 'usage: install-deps.sh build|run|test|lint|check|fuzz|coverage|bench...'

wanted=
for set in "$@"; do
    needs=$(needs_of "$set") ||
        die "no set called '$set'; there are build, run, test, lint, check, fuzz, coverage, bench"
    wanted="$wanted $needs"
done

missing=$(missing_of "$wanted")
[ -n "$missing" ] || exit 0

# What a build or a benchmark is poorer without, but is one.
required=$(printf '%s' "$missing" | sed 's/hiredis-tls //; s/boost-context //')

# Ends for a reason, unless nothing is missing that is required.
give_up() {
    [ -n "$required" ] || exit 0
    die "$@"
}

find_manager ||
    give_up "missing: ${missing% }; no apt-get, dnf, apk or pacman to install it with"

sudo=
if [ "$(id -u)" -ne 0 ]; then
    has sudo ||
        give_up "missing: ${missing% }; installing it needs root, and there is no sudo"
    sudo=sudo
fi

log=$(mktemp)
trap 'rm -f "$log"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

if ! has_lists; then
    say "fetching the lists of packages with ${sudo:+sudo }$manager"
    refresh_lists || true
fi

packages=$(packages_for "$missing")
if [ -n "$packages" ]; then
    say "installing ${packages% } with ${sudo:+sudo }$manager"
    # The names are split on purpose. The second try is for lists so old that
    # they name files which the mirrors no longer have.
    # shellcheck disable=SC2086
    if ! without_redis_service install_packages $packages &&
        ! { refresh_lists && without_redis_service install_packages $packages; }; then
        [ -z "$required" ] || tail -n 20 "$log" >&2
        give_up "$manager could not install ${packages% }; its last words are above"
    fi
fi

# What a distribution does not package, and a set can do without, is no error.
still=
for need in $(missing_of "$missing"); do
    [ -z "$(choose "$("package_$family" "$need")")" ] || still="$still $need"
done
[ -z "$still" ] || die "still missing after the installation:$still"
