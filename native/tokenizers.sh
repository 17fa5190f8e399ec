# tokenizers_source ROOT TARGET: puts the tokenizer's source, as it is compiled, into a folder. Read by setup.sh and release/stage.sh.
# The module's own Cargo.toml names a dependency from a git branch; the released crate builds too. Our lockfile says "registry" where the module's own names the registry in full.
tokenizers_source() {
	local source registry
	source=$(cd "$1" && go mod download -json github.com/daulet/tokenizers | sed -n 's/.*"Dir": "\(.*\)".*/\1/p')
	cp -r "$source" "$2"
	chmod -R u+w "$2"
	sed -i 's|^tiktoken-rs *=.*|tiktoken-rs = "0.9.1"|' "$2/Cargo.toml"
	registry=$(grep -m1 '^source = "registry' "$source/Cargo.lock")
	sed "s|^source = \"registry\"|$registry|" "$1/native/Cargo.lock" >"$2/Cargo.lock"
}
