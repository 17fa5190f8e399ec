package main

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
)

// instruction is a line of a Dockerfile.
type instruction struct {
	line  int
	name  string            // RUN, COPY …
	flags map[string]string // --from=build is from → build; a flag of RUN that is given twice counts once
	rest  string            // what follows, lines that go on joined
}

func (i instruction) String() string { return i.name + " " + i.rest }

// stage is what one FROM begins.
type stage struct {
	image, name  string
	instructions []instruction
}

var flag = regexp.MustCompile(`^--([a-z]+)=(\S+)\s+`)

// parse reads the stages of a Dockerfile, and refuses instructions that build does not know.
func parse(text string) ([]stage, error) {
	var stages []stage
	lines := strings.Split(text, "\n")
	for n := 0; n < len(lines); n++ {
		first, line := n+1, strings.TrimSpace(lines[n])
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		for strings.HasSuffix(line, `\`) && n+1 < len(lines) {
			n++
			line = strings.TrimSpace(strings.TrimSuffix(line, `\`)) + " " + strings.TrimSpace(lines[n])
		}
		name, rest, _ := strings.Cut(line, " ")
		i := instruction{line: first, name: name, flags: map[string]string{}, rest: strings.TrimSpace(rest)}
		for match := flag.FindStringSubmatch(i.rest); match != nil; match = flag.FindStringSubmatch(i.rest) {
			i.flags[match[1]] = match[2]
			i.rest = i.rest[len(match[0]):]
		}
		switch name {
		case "FROM":
			image, as, _ := strings.Cut(i.rest, " AS ")
			stages = append(stages, stage{image: image, name: as})
			continue
		case "RUN", "COPY", "WORKDIR", "ARG", "ENV", "USER", "ENTRYPOINT":
		default:
			return nil, fmt.Errorf("reading the Dockerfile: line %d has the instruction %s, which deploy/image does not know: teach it", first, name)
		}
		if len(stages) == 0 {
			return nil, fmt.Errorf("reading the Dockerfile: line %d comes before FROM", first)
		}
		last := &stages[len(stages)-1]
		last.instructions = append(last.instructions, i)
	}
	if len(stages) != 2 || stages[1].image != "scratch" {
		return nil, fmt.Errorf("reading the Dockerfile: it has %d stages, want one that builds and one from scratch", len(stages))
	}
	return stages, nil
}

// config is what the last stage says of the container.
type config struct {
	User       string
	Env        map[string]string
	Entrypoint []string
}

// configuration reads what the instructions of a stage say of the container.
func configuration(s stage) (config, error) {
	c := config{Env: map[string]string{}}
	for _, i := range s.instructions {
		switch i.name {
		case "USER":
			c.User = i.rest
		case "ENV":
			for _, pair := range strings.Fields(i.rest) {
				name, value, ok := strings.Cut(pair, "=")
				if !ok {
					return c, fmt.Errorf("reading the Dockerfile: line %d: %q is not NAME=value", i.line, pair)
				}
				c.Env[name] = value
			}
		case "ENTRYPOINT":
			if err := json.Unmarshal([]byte(i.rest), &c.Entrypoint); err != nil {
				return c, fmt.Errorf("reading the Dockerfile: line %d: %s is no list: %w", i.line, i.rest, err)
			}
		}
	}
	return c, nil
}
