// Command release writes what a release says of itself, and checks a release before it is published: see docs/releasing.md.
//
//	release sbom -into FILE -crates FILE -time SECONDS    adds the native parts to the SBOM of the Go modules
//	release notes VERSION                                 prints a version's part of CHANGELOG.md
//	release check -version V FOLDER                       looks whether archive, checksums and SBOM in a folder are whole and say the same
package main

import (
	"flag"
	"fmt"
	"os"
	"time"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "release:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) == 0 {
		return fmt.Errorf("nothing to do: sbom, notes or check")
	}
	flags := flag.NewFlagSet("release "+args[0], flag.ContinueOnError)
	native := flags.String("native", "native", "folder of parts.tsv and Cargo.lock")
	into := flags.String("into", "", "SBOM file to add to")
	crates := flags.String("crates", "", "file of what cargo metadata prints of the tokenizer's crates")
	seconds := flags.Int64("time", 0, "when the commit was made, in seconds of Unix")
	version := flags.String("version", "", "version that the release is of")
	changelog := flags.String("changelog", "CHANGELOG.md", "file of the changes")
	if err := flags.Parse(args[1:]); err != nil {
		return err
	}
	switch args[0] {
	case "sbom":
		parts, err := nativeParts(*native)
		if err != nil {
			return err
		}
		if err := licenceCrates(parts, *crates); err != nil {
			return err
		}
		return addToSBOM(*into, parts, expressions, time.Unix(*seconds, 0).UTC())
	case "notes":
		text, err := os.ReadFile(*changelog)
		if err != nil {
			return fmt.Errorf("reading the changes: %w", err)
		}
		notes, err := notesOf(string(text), flags.Arg(0))
		if err != nil {
			return err
		}
		_, err = fmt.Print(notes)
		return err
	case "check":
		parts, err := nativeParts(*native)
		if err != nil {
			return err
		}
		return check(flags.Arg(0), *version, parts)
	}
	return fmt.Errorf("%s is none of sbom, notes and check", args[0])
}
