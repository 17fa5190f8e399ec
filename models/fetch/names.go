package fetch

import (
	"fmt"
	"path"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Bounds of names: below what file systems and hubs allow.
const (
	longestName    = 255
	longestPath    = 1024
	longestReplied = 100 // of a name, in an error
)

// checkFileName refuses names that could lead out of the folder they are put into, or that some file system reads otherwise.
func checkFileName(name string) error {
	refuse := func(why string) error {
		return fmt.Errorf("file name %.*q %s (%w)", longestReplied, name, why, ErrHostile)
	}
	switch {
	case name == "":
		return refuse("is empty")
	case len(name) > longestPath:
		return refuse(fmt.Sprintf("has %d bytes, more than %d", len(name), longestPath))
	case !utf8.ValidString(name):
		return refuse("is not UTF-8")
	case strings.ContainsFunc(name, unicode.IsControl):
		return refuse("holds control characters")
	case strings.Contains(name, `\`):
		return refuse("holds a backslash")
	case path.IsAbs(name) || len(name) > 1 && name[1] == ':':
		return refuse("is absolute")
	}
	for part := range strings.SplitSeq(name, "/") {
		switch {
		case part == "" || part == "." || part == "..":
			return refuse(fmt.Sprintf("has the part %q", part))
		case len(part) > longestName:
			return refuse(fmt.Sprintf("has a part of %d bytes, more than %d", len(part), longestName))
		}
	}
	return nil
}

var (
	// Hubs forbid "--" in names, which here stands for the slash.
	modelName = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.-]{0,95}(/[A-Za-z0-9_][A-Za-z0-9_.-]{0,95})?$`)
	commitID  = regexp.MustCompile(`^[0-9a-f]{40}([0-9a-f]{24})?$`)
)

func checkModelName(name string) error {
	if !modelName.MatchString(name) || strings.Contains(name, "--") || strings.Contains(name, "..") {
		return fmt.Errorf("%.*q is not the name of a model, like intfloat/multilingual-e5-small; a folder begins with ./ or /, an address with https://", longestReplied, name)
	}
	return nil
}

// isRevision follows git's rules for names as far as they keep a name harmless.
func isRevision(name string) bool {
	return name != "" && len(name) <= 80 && utf8.ValidString(name) && !strings.Contains(name, "..") && !strings.ContainsAny(name, ` \~^:?*[`) &&
		!strings.ContainsAny(name[:1], "-./") && !strings.HasSuffix(name, "/") && !strings.ContainsFunc(name, unicode.IsControl)
}
