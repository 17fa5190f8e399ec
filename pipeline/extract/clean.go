package extract

import (
	"html"
	"strings"
	"unicode"

	"golang.org/x/net/html/atom"
	"golang.org/x/text/unicode/norm"

	markup "golang.org/x/net/html"
)

const bullet = "• "

// maxTag is the longest tag, in bytes; what is longer was never closed.
const maxTag = 5_000

// Clean turns HTML or plain text into plain text that keeps the lines: list items begin with a bullet, paragraphs and headings
// stand between blank lines, scripts and styles are gone, odd spaces are folded and invisible characters dropped.
func Clean(text string) string {
	text = strings.ToValidUTF8(text, " ")
	for range 3 { // some feeds escape twice
		switch {
		case hasMarkup(text):
			text = stripMarkup(text)
		case strings.Contains(text, "&"):
			text = html.UnescapeString(text)
		}
	}
	if !norm.NFC.IsNormalString(text) {
		text = norm.NFC.String(text)
	}
	return foldSpace(text)
}

// tagAt tells whether s, which begins with "<", begins with markup rather than with a stray character.
func tagAt(s string) bool {
	if strings.HasPrefix(s, "<!--") || strings.HasPrefix(s, "<?xml") || (len(s) > 9 && strings.EqualFold(s[:9], "<!doctype")) {
		return true
	}
	name := strings.TrimPrefix(s[1:], "/")
	n := 0
	for n < len(name) && n < 20 && (isASCIILetter(name[n]) || (n > 0 && name[n] >= '0' && name[n] <= '9')) {
		n++
	}
	if n == 0 || n == len(name) || !strings.ContainsRune(" \t\r\n/>", rune(name[n])) {
		return false
	}
	return atom.Lookup([]byte(strings.ToLower(name[:n]))) != 0 && strings.IndexByte(name[:min(len(name), maxTag)], '>') >= 0
}

func isASCIILetter(c byte) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' }

func hasMarkup(text string) bool {
	for i := 0; ; {
		at := strings.IndexByte(text[i:], '<')
		if at < 0 {
			return false
		}
		if tagAt(text[i+at:]) {
			return true
		}
		i += at + 1
	}
}

// stripMarkup reads text as HTML. A "<" that begins no known tag is text.
func stripMarkup(text string) string {
	var escaped strings.Builder
	escaped.Grow(len(text))
	for i := 0; i < len(text); i++ {
		if text[i] == '<' && !tagAt(text[i:]) {
			escaped.WriteString("&lt;")
		} else {
			escaped.WriteByte(text[i])
		}
	}
	text = escaped.String()
	var out strings.Builder
	out.Grow(len(text))
	z := markup.NewTokenizer(strings.NewReader(text))
	blocks, hidden := false, atom.Atom(0)
	for {
		kind := z.Next()
		switch kind {
		case markup.ErrorToken:
			return out.String()
		case markup.TextToken:
			if hidden != 0 {
				continue
			}
			raw := string(z.Text())
			if blocks { // in HTML a line break is a space
				raw = strings.Map(func(r rune) rune {
					if r == '\n' || r == '\r' {
						return ' '
					}
					return r
				}, raw)
			}
			out.WriteString(raw)
		case markup.StartTagToken, markup.EndTagToken, markup.SelfClosingTagToken:
			name, _ := z.TagName()
			tag := atom.Lookup(name)
			switch tag {
			case atom.Script, atom.Style, atom.Head, atom.Noscript, atom.Template:
				if kind == markup.StartTagToken {
					hidden = tag
				} else if tag == hidden {
					hidden = 0
				}
			case atom.Body:
				hidden = 0
			case atom.Li:
				blocks = true
				if kind == markup.StartTagToken {
					out.WriteString("\n" + bullet)
				} else {
					out.WriteByte('\n')
				}
			case atom.Br, atom.Tr, atom.Dt, atom.Dd:
				blocks = true
				out.WriteByte('\n')
			case atom.Td, atom.Th:
				out.WriteByte(' ')
			case atom.P, atom.Div, atom.Ul, atom.Ol, atom.H1, atom.H2, atom.H3, atom.H4, atom.H5, atom.H6, atom.Table, atom.Section,
				atom.Article, atom.Header, atom.Footer, atom.Blockquote, atom.Hr, atom.Dl:
				blocks = true
				out.WriteString("\n\n")
			}
		}
	}
}

// isSpace tells whether r is a space within a line, the no-break and typographic ones included.
func isSpace(r rune) bool {
	return r == ' ' || r == '\t' || r == 0xa0 || r >= 0x2000 && r <= 0x200a || r == 0x202f || r == 0x205f || r == 0x3000 || r == 0x1680
}

// isInvisible tells whether r takes no room, as zero-width spaces and soft hyphens, or is a mark of our own.
func isInvisible(r rune) bool {
	return r >= 0x200b && r <= 0x200f || r >= 0x202a && r <= 0x202e || r >= 0x2060 && r <= 0x2064 || r == 0xfeff || r == 0xad || r == contactMark || r == nameMark
}

func foldSpace(text string) string {
	var out strings.Builder
	out.Grow(len(text))
	space, lines := false, 0
	for _, r := range text {
		switch {
		case r == '\n' || r == 0x2028 || r == 0x2029 || r == '\v' || r == '\f':
			lines++
		case isSpace(r) || r == '\r':
			space = true
		case isInvisible(r) || unicode.IsControl(r):
		default:
			if out.Len() > 0 {
				switch {
				case lines > 1:
					out.WriteString("\n\n")
				case lines == 1:
					out.WriteByte('\n')
				case space:
					out.WriteByte(' ')
				}
			}
			space, lines = false, 0
			out.WriteRune(r)
		}
	}
	return out.String()
}
