package main

import (
	"fmt"
	"regexp"
	"strings"
)

// notesOf returns what a changelog says of a version, without its heading.
func notesOf(changelog, version string) (string, error) {
	version = strings.TrimPrefix(version, "v")
	heading := regexp.MustCompile(`(?m)^## \[` + regexp.QuoteMeta(version) + `\] - \d{4}-\d{2}-\d{2}$`)
	at := heading.FindAllStringIndex(changelog, -1)
	if len(at) != 1 {
		return "", fmt.Errorf("looking for version %s in the changes: %d headings like ## [%s] - YYYY-MM-DD, want one", version, len(at), version)
	}
	notes := changelog[at[0][1]:]
	if next := regexp.MustCompile(`(?m)^## `).FindStringIndex(notes); next != nil {
		notes = notes[:next[0]]
	}
	if notes = strings.TrimSpace(notes); notes == "" {
		return "", fmt.Errorf("looking for version %s in the changes: nothing stands below its heading", version)
	}
	return notes + "\n", nil
}
