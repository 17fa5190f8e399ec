package main

import (
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"

	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/extension"
	"github.com/yuin/goldmark/text"
	"go.yaml.in/yaml/v3"
)

// document is what the tests of the documentation look at in a Markdown file.
type document struct {
	links   []string // where links and images lead
	anchors []string // of headings, as forges and the site make them
	spans   []string // code in a line
	blocks  []string // code in lines of its own
}

func readDocument(source []byte) document {
	var d document
	parser := goldmark.New(goldmark.WithExtensions(extension.Table)).Parser()
	_ = ast.Walk(parser.Parse(text.NewReader(source)), func(n ast.Node, entering bool) (ast.WalkStatus, error) {
		if !entering {
			return ast.WalkContinue, nil
		}
		switch n := n.(type) {
		case *ast.Link:
			d.links = append(d.links, string(n.Destination))
		case *ast.Image:
			d.links = append(d.links, string(n.Destination))
		case *ast.Heading:
			d.anchors = append(d.anchors, uniqueAnchor(plain(n, source), d.anchors))
		case *ast.CodeSpan:
			d.spans = append(d.spans, plain(n, source))
		case *ast.FencedCodeBlock:
			d.blocks = append(d.blocks, string(n.Lines().Value(source)))
		}
		return ast.WalkContinue, nil
	})
	return d
}

// plain returns the text of a node without its marks.
func plain(n ast.Node, source []byte) string {
	var b strings.Builder
	_ = ast.Walk(n, func(n ast.Node, entering bool) (ast.WalkStatus, error) {
		switch n := n.(type) {
		case *ast.Text:
			if entering {
				b.Write(n.Value(source))
			}
		case *ast.String:
			if entering {
				b.Write(n.Value)
			}
		}
		return ast.WalkContinue, nil
	})
	return b.String()
}

// uniqueAnchor returns a heading's anchor by the rule of forges: lower case, letters, digits, - and _, spaces as -; the second of a name has -1 behind it.
func uniqueAnchor(heading string, taken []string) string {
	anchor := strings.Map(func(r rune) rune {
		switch {
		case unicode.IsLetter(r), unicode.IsDigit(r), r == '-', r == '_':
			return unicode.ToLower(r)
		case r == ' ':
			return '-'
		}
		return -1
	}, heading)
	for i, first := 1, anchor; slices.Contains(taken, anchor); i++ {
		anchor = fmt.Sprintf("%s-%d", first, i)
	}
	return anchor
}

// brokenLinks returns the relative links of documents that lead nowhere, and how many there are in all.
func brokenLinks(tree fs.FS, names []string) (broken []string, all int, err error) {
	documents := map[string]document{}
	read := func(name string) (document, error) {
		if d, ok := documents[name]; ok {
			return d, nil
		}
		source, err := fs.ReadFile(tree, name)
		documents[name] = readDocument(source)
		return documents[name], err
	}
	for _, name := range names {
		d, err := read(name)
		if err != nil {
			return nil, 0, err
		}
		for _, link := range d.links {
			u, err := url.Parse(link)
			if err == nil && (u.Scheme != "" || u.Host != "") {
				continue
			}
			all++
			wrong := func(why string) { broken = append(broken, fmt.Sprintf("%s: %s %s", name, link, why)) }
			if err != nil {
				wrong("is no address")
				continue
			}
			target := name
			if u.Path != "" {
				target = path.Join(path.Dir(name), u.Path)
			}
			if _, err := fs.Stat(tree, target); err != nil || path.IsAbs(u.Path) {
				wrong("is not there")
				continue
			}
			if u.Fragment == "" {
				continue
			}
			if path.Ext(target) != ".md" {
				wrong("names a place in a file that is no page")
				continue
			}
			to, err := read(target)
			if err != nil {
				return nil, 0, err
			}
			if !slices.Contains(to.anchors, u.Fragment) {
				wrong("names a heading that is not there")
			}
		}
	}
	return broken, all, nil
}

// pages returns the Markdown files of the repository, those not yet added to it included.
func pages(t *testing.T) (names []string) {
	t.Helper()
	out, err := exec.Command("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "*.md").Output()
	if err != nil {
		t.Fatal(err)
	}
	for name := range strings.SplitSeq(strings.TrimRight(string(out), "\x00"), "\x00") {
		if _, err := os.Stat(name); err == nil && !strings.Contains(name, "testdata/") {
			names = append(names, name)
		}
	}
	return names
}

// Every relative link in the documentation leads somewhere, on a forge and on the site.
func TestDocsLinks(t *testing.T) {
	names := pages(t)
	broken, all, err := brokenLinks(os.DirFS("."), names)
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range broken {
		t.Error(b)
	}
	if len(names) < 35 || all < 80 {
		t.Errorf("%d links of %d pages were looked at", all, len(names))
	}
}

func TestBrokenLinksAreFound(t *testing.T) {
	tree := os.DirFS(t.TempDir())
	write := func(name, content string) {
		t.Helper()
		at := filepath.Join(fmt.Sprint(tree), name)
		if err := os.MkdirAll(filepath.Dir(at), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(at, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("docs/b.md", "# Über `code` & more\n\n## Twice\n\n## Twice\n")
	write("docs/x.txt", "x")
	f := func(page string, want ...string) {
		t.Helper()
		write("README.md", page)
		broken, _, err := brokenLinks(tree, []string{"README.md"})
		if err != nil {
			t.Fatal(err)
		}
		for i := range want {
			want[i] = "README.md: " + want[i]
		}
		if !slices.Equal(broken, want) {
			t.Errorf("%q: %q, want %q", page, broken, want)
		}
	}
	f("[a](docs/b.md) [b](docs/b.md#twice-1) [c](docs/b.md#über-code--more) [d](https://example.com/gone) ![e](docs/x.txt) [f](#here)\n\n# Here\n")
	f("```\n[a](gone.md)\n```\n\n`[a](gone.md)`\n")
	f("[a](docs/gone.md)", "docs/gone.md is not there")
	f("| a |\n|---|\n| [a](gone.md) |\n", "gone.md is not there")
	f("[a][1]\n\n[1]: gone.md\n", "gone.md is not there")
	f("![a](gone.png)", "gone.png is not there")
	f("[a](docs/b.md#thrice)", "docs/b.md#thrice names a heading that is not there")
	f("[a](docs/x.txt#one)", "docs/x.txt#one names a place in a file that is no page")
	f("[a](/docs/b.md)", "/docs/b.md is not there")
	f("[a](../docs/b.md)", "../docs/b.md is not there")
	f("# Here\n\n[a](#there)", "#there names a heading that is not there")
}

// unlisted returns the pages of a folder that a menu does not name, and what the menu names that is not there.
func unlisted(tree fs.FS, menu []byte, names []string) (wrong []string, err error) {
	var parts map[string][]any
	if err := yaml.Unmarshal(menu, &parts); err != nil {
		return nil, err
	}
	var patterns []string
	var walk func(entries []any)
	walk = func(entries []any) {
		for _, entry := range entries {
			switch entry := entry.(type) {
			case string:
				patterns = append(patterns, entry)
			case map[string]any:
				for name, value := range entry {
					if page, ok := value.(string); ok { // title: page
						patterns = append(patterns, page)
						continue
					}
					patterns = append(patterns, name) // page: [pages]
					if below, ok := value.([]any); ok {
						walk(below)
					}
				}
			}
		}
	}
	for _, entries := range parts {
		walk(entries)
	}
	for _, pattern := range patterns {
		if found, err := fs.Glob(tree, pattern); err != nil || len(found) == 0 {
			wrong = append(wrong, pattern+" is named and not there")
		}
	}
	for _, name := range names {
		if !slices.ContainsFunc(patterns, func(p string) bool { ok, _ := path.Match(p, name); return ok }) {
			wrong = append(wrong, name+" is not named")
		}
	}
	slices.Sort(wrong)
	return wrong, nil
}

// Who opens the site finds every page of docs/ in its menu.
func TestDocsNavigation(t *testing.T) {
	menu, err := os.ReadFile("docs/site/navigation.yaml")
	if err != nil {
		t.Fatal(err)
	}
	names := slices.DeleteFunc(pages(t), func(name string) bool {
		return !strings.HasPrefix(name, "docs/") || name == "docs/index.md" // the start page, which holds the menu
	})
	wrong, err := unlisted(os.DirFS("."), menu, names)
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range wrong {
		t.Errorf("docs/site/navigation.yaml: %s", w)
	}
	if len(names) < 30 {
		t.Errorf("%d pages were looked at", len(names))
	}
	wrong, err = unlisted(os.DirFS("."), []byte("A:\n  - docs/gone.md\n  - B: docs/security.md\n  - docs/metrics.md: [docs/reference/commands/*.md]\n"),
		[]string{"docs/security.md", "docs/metrics.md", "docs/reference/commands/up.md", "docs/chaos.md"})
	if want := []string{"docs/chaos.md is not named", "docs/gone.md is named and not there"}; err != nil || !slices.Equal(wrong, want) {
		t.Errorf("a menu with gaps: %q, %v, want %q", wrong, err, want)
	}
}

// staleMentions returns the paths, make targets and tests that a page mentions as code and that are not there.
func staleMentions(t *testing.T, d document) (stale []string) {
	t.Helper()
	makefile, err := os.ReadFile("Makefile")
	if err != nil {
		t.Fatal(err)
	}
	test := regexp.MustCompile(`\b(Test|Fuzz|Benchmark)[A-Z]\w*`)
	mentions := slices.Clone(d.spans)
	for _, block := range d.blocks {
		mentions = slices.AppendSeq(mentions, strings.Lines(block))
	}
	for _, m := range mentions {
		m, _, _ = strings.Cut(strings.TrimSpace(m), "  #")
		words := strings.Fields(m)
		switch {
		case len(words) == 0:
		case words[0] == "make":
			if len(words) > 1 && !regexp.MustCompile(`(?m)^`+regexp.QuoteMeta(words[1])+`:`).Match(makefile) {
				stale = append(stale, m)
			}
		case words[0] == "go" || words[0] == "gofmt":
			for _, word := range words[1:] {
				if folder, ok := strings.CutPrefix(word, "./"); ok && !exists(strings.TrimSuffix(strings.TrimSuffix(folder, "..."), "/")) {
					stale = append(stale, m)
				}
			}
		case len(words) == 1 && strings.Contains(m, "/") && !strings.ContainsAny(m, "<>{}$()…:") && !path.IsAbs(m) && !strings.HasPrefix(m, "var/"): // what is built lies in var
			if !exists(strings.TrimPrefix(m, "./")) {
				stale = append(stale, m)
			}
		}
		for _, name := range test.FindAllString(m, -1) {
			if exec.Command("git", "grep", "-q", "--untracked", "func "+name, "--", "*_test.go").Run() != nil {
				stale = append(stale, name)
			}
		}
	}
	return stale
}

func exists(pattern string) bool {
	found, err := filepath.Glob(pattern)
	return pattern == "" || err == nil && len(found) > 0
}

// What a contributor is sent to is there.
func TestContributingMentionsWhatIsThere(t *testing.T) {
	for _, name := range []string{"CONTRIBUTING.md", "SECURITY.md", "docs/releasing.md"} {
		source, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		d := readDocument(source)
		for _, m := range staleMentions(t, d) {
			t.Errorf("%s mentions %s, which is not there", name, m)
		}
		if name == "CONTRIBUTING.md" && len(d.spans) < 60 {
			t.Errorf("%d mentions of %s were looked at", len(d.spans), name)
		}
	}
	d := readDocument([]byte("`cli/gone.go` `cli/root.go` `drift/*.sql` `drift/sql/*.sql` `make gone` `make lint` `TestGone` `TestDocsLinks` `--flag/x`\n\n```sh\ngo test ./gone -run TestNowhere\ngo test ./drift/...\n```\n"))
	want := []string{"cli/gone.go", "drift/*.sql", "make gone", "TestGone", "--flag/x", "go test ./gone -run TestNowhere", "TestNowhere"}
	if got := staleMentions(t, d); !slices.Equal(got, want) {
		t.Errorf("stale are %q, want %q", got, want)
	}
}
