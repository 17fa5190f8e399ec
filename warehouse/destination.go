package warehouse

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
)

// Destination is where ClickHouse's server writes a backup to or reads it from: a name, which is a folder among the server's backups, or what its BACKUP statement takes,
// File('…'), Disk('…', '…'), S3(…) or AzureBlobStorage(…). It may hold a secret, so it is shown by String.
type Destination struct{ expression string }

var (
	destinationName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,199}$`)
	// An argument is a string or a word, the name of a collection that the server's operator has configured, or such a word with its value.
	destinationCall = regexp.MustCompile(`^(File|Disk|S3|AzureBlobStorage)\(\s*(` + destinationArgument + `(?:\s*,\s*` + destinationArgument + `)*)\s*\)$`)
	destinationArgs = regexp.MustCompile(destinationArgument)
)

const destinationArgument = `(?:[A-Za-z_][A-Za-z0-9_]*(?:\s*=\s*'(?:[^'\\]|\\.)*')?|'(?:[^'\\]|\\.)*')`

// ParseDestination reads a destination.
func ParseDestination(text string) (Destination, error) {
	text = strings.TrimSpace(text)
	switch {
	case destinationName.MatchString(text):
		return Destination{"File(" + quoted(text) + ")"}, nil
	case destinationCall.MatchString(text):
		return Destination{text}, nil
	}
	return Destination{}, errors.New("a backup's place must be a name of letters, digits and . _ -, or File('path'), Disk('disk', 'path'), S3('address', 'key', 'secret'), S3(collection, 'path') or AzureBlobStorage(…) as ClickHouse's BACKUP takes it")
}

// IsZero says that none was given.
func (d Destination) IsZero() bool { return d.expression == "" }

// String shows the destination without what may be a secret: of S3 and Azure all but the first argument.
func (d Destination) String() string {
	call := destinationCall.FindStringSubmatch(d.expression)
	if call == nil {
		return d.expression
	}
	args := destinationArgs.FindAllString(call[2], -1)
	if call[1] == "File" || call[1] == "Disk" || len(args) == 1 && call[1] == "S3" {
		return d.expression
	}
	if call[1] == "AzureBlobStorage" { // its first may be a connection string with a key
		return "AzureBlobStorage(…)"
	}
	return fmt.Sprintf("S3(%s, …)", args[0])
}

// hide takes what may be a secret out of a server's message.
func (d Destination) hide(message string) string {
	if d.IsZero() {
		return message
	}
	call := destinationCall.FindStringSubmatch(d.expression)
	if call == nil || call[1] == "File" || call[1] == "Disk" {
		return message
	}
	for _, arg := range destinationArgs.FindAllString(call[2], -1) {
		if value := strings.Trim(arg[strings.Index(arg, "'")+1:], "'"); strings.Contains(arg, "'") && len(value) >= 4 && !strings.HasPrefix(value, "http") {
			message = strings.ReplaceAll(message, value, "…")
		}
	}
	return message
}
