package main

import (
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"jobstrom/models"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func readDockerfile(t *testing.T) []stage {
	t.Helper()
	text, err := os.ReadFile("../Dockerfile")
	must(t, err)
	stages, err := parse(string(text))
	must(t, err)
	return stages
}

func TestParse(t *testing.T) {
	stages, err := parse("# a comment\nFROM golang:1 AS build\nRUN --mount=type=cache,target=/a \\\n\tmake && \\\n\t./made\n\nFROM scratch\nCOPY --from=build --chown=1:2 /a /b\nENV A=b C=d\nUSER 1:2\nENTRYPOINT [\"x\", \"y\"]\n")
	must(t, err)
	run, copied := stages[0].instructions[0], stages[1].instructions[0]
	if stages[0].image != "golang:1" || stages[0].name != "build" || run.rest != "make && ./made" || run.line != 3 || run.flags["mount"] != "type=cache,target=/a" {
		t.Errorf("got %+v", stages[0])
	}
	if copied.rest != "/a /b" || copied.flags["from"] != "build" || copied.flags["chown"] != "1:2" || copied.line != 8 {
		t.Errorf("got %+v", copied)
	}
	c, err := configuration(stages[1])
	if err != nil || c.User != "1:2" || c.Env["A"] != "b" || c.Env["C"] != "d" || strings.Join(c.Entrypoint, " ") != "x y" {
		t.Errorf("got %+v: %v", c, err)
	}
	f := func(text, want string) {
		t.Helper()
		if _, err := parse(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
	f("FROM a AS build\nFROM scratch\nADD a b\n", "line 3 has the instruction ADD")
	f("RUN a\nFROM a AS build\nFROM scratch\n", "line 1 comes before FROM")
	f("FROM a AS build\nRUN b\n", "1 stages")
	f("FROM a AS build\nFROM debian:13\n", "2 stages")
}

// Paths of the build stage become this machine's, and what only looks like them stays.
func TestHere(t *testing.T) {
	b := builder{root: "/home/me", made: "/tmp/made"}
	f := func(text, want string) {
		t.Helper()
		if got := b.here(text); got != want {
			t.Errorf("%s becomes %s, want %s", text, got, want)
		}
	}
	f("/src/.native/lib", "/home/me/.native/lib")
	f("go build -o /image/program .", "go build -o /tmp/made/program .")
	f("CGO_LDFLAGS=-L/src/.native/lib x --target-directory=/image/base > '/image/a'", "CGO_LDFLAGS=-L/home/me/.native/lib x --target-directory=/tmp/made/base > '/tmp/made/a'")
	f("ls /usr/src /srcs /usr/local/bin /images", "ls /usr/src /srcs /usr/local/bin /images")
}

// Images are pinned, Go is the one that is tested, and the container is what docker-compose.yaml and the chart rely on.
func TestDockerfile(t *testing.T) {
	stages := readDockerfile(t)
	module, err := os.ReadFile("../../go.mod")
	must(t, err)
	goVersion := string(regexp.MustCompile(`(?m)^go (\S+)$`).FindSubmatch(module)[1])
	if image := stages[0].image; !regexp.MustCompile(`^golang:\d+\.\d+\.\d+-[a-z]+$`).MatchString(image) || !strings.HasPrefix(image, "golang:"+goVersion+"-") {
		t.Errorf("it is built on %s, tested is Go %s", image, goVersion)
	}
	c, err := configuration(stages[1])
	must(t, err)
	if c.User != "65532:65532" || strings.Join(c.Entrypoint, " ") != "jobstrom" || c.Env["JOBSTROM_NATIVE"] != "/opt/jobstrom" || c.Env["JOBSTROM_DATA"] != "/var/lib/jobstrom" || c.Env["PATH"] != "/usr/local/bin" {
		t.Errorf("got %+v", c)
	}
	var targets []string
	for _, i := range stages[1].instructions {
		if i.name == "COPY" {
			targets = append(targets, strings.Fields(i.rest)[1])
		}
	}
	encoder, program := path.Join("/opt/jobstrom", models.DefaultEncoder), "/usr/local/bin"
	if n := len(targets); n < 2 || targets[n-1] != program || targets[n-2] != encoder {
		t.Errorf("the layers are %v: what changes most comes last, the encoder is one of its own", targets)
	}
}

// What the build stage copies is what Docker would find.
func TestContext(t *testing.T) {
	root := t.TempDir()
	must(t, os.WriteFile(filepath.Join(root, ".dockerignore"), []byte("/.native\n/bin\n"), 0o644))
	must(t, os.MkdirAll(filepath.Join(root, "bin"), 0o755))
	must(t, os.MkdirAll(filepath.Join(root, "native"), 0o755))
	b := builder{root: root}
	must(t, b.inContext("native"))
	for path, want := range map[string]string{"bin": "leaves out bin", "bin/jobstrom": "no such file", "absent": "no such file"} {
		if err := b.inContext(path); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", path, err, want)
		}
	}
}
