package producers

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/unicode"
)

// nameEncoding is what helps where text is not UTF-8.
const nameEncoding = "save the file as UTF-8 or name its encoding, for example --encoding windows-1252"

// encodings of text files, besides UTF-8.
func encodings() map[string]encoding.Encoding {
	return map[string]encoding.Encoding{
		"latin1": charmap.ISO8859_1, "windows-1252": charmap.Windows1252, "utf-16": unicode.UTF16(unicode.LittleEndian, unicode.UseBOM),
	}
}

// decode returns what in says as UTF-8; the name is checked by ReadOptions.Validate.
func decode(in io.Reader, name string) io.Reader {
	if e, ok := encodings()[strings.ToLower(name)]; ok {
		return e.NewDecoder().Reader(in)
	}
	return in
}

func checkEncoding(name string) error {
	names := encodings()
	if _, ok := names[strings.ToLower(name)]; ok || name == "" || strings.EqualFold(name, "utf-8") {
		return nil
	}
	return fmt.Errorf("encoding (%s) must be utf-8, %s", name, strings.Join(slices.Sorted(maps.Keys(names)), ", "))
}
