package trainer

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// maxSettings bounds a grid: a slip of the pen must not cost a year.
const maxSettings = 10_000

// Grid is the settings that a sweep tries.
type Grid struct{ settings []Setting }

// Settings returns them in the order of the grid: each differs from the others.
func (g Grid) Settings() []Setting { return slices.Clone(g.settings) }

// gridKey is a key of a grid.
type gridKey struct {
	name string
	// methods use it.
	methods []string
	// set puts a value into a setting, if it is of the right type.
	set func(s *Setting, value *yaml.Node) error
}

var (
	bothMethods = []string{MethodLBFGS, MethodAdamW}
	onlyLBFGS   = []string{MethodLBFGS}
	onlyAdamW   = []string{MethodAdamW}
)

// gridKeys are in the order in which a grid is walked through: the last one that a method uses changes fastest.
var gridKeys = []gridKey{
	{"method", bothMethods, func(s *Setting, v *yaml.Node) error { return scalar(v, &s.Method, "a word", "!!str") }},
	{"class_weights", bothMethods, func(s *Setting, v *yaml.Node) error { return scalar(v, &s.ClassWeights, "a word", "!!str") }},
	{"l2", onlyLBFGS, func(s *Setting, v *yaml.Node) error { return scalar(v, &s.L2, "a number", "!!float", "!!int") }},
	{"learning_rate", onlyAdamW, func(s *Setting, v *yaml.Node) error {
		return scalar(v, &s.LearningRate, "a number", "!!float", "!!int")
	}},
	{"batch", onlyAdamW, func(s *Setting, v *yaml.Node) error { return scalar(v, &s.Batch, "a whole number", "!!int") }},
	{"epochs", onlyAdamW, func(s *Setting, v *yaml.Node) error { return scalar(v, &s.Epochs, "a whole number", "!!int") }},
	{"decay", onlyAdamW, func(s *Setting, v *yaml.Node) error { return scalar(v, &s.Decay, "a number", "!!float", "!!int") }},
}

// scalar reads a value that has one of these types.
func scalar(v *yaml.Node, into any, what string, types ...string) error {
	if v.Kind != yaml.ScalarNode || !slices.Contains(types, v.ShortTag()) || v.Decode(into) != nil {
		return fmt.Errorf("(%s) must be %s", shown(v), what)
	}
	return nil
}

// shown renders a value for an error.
func shown(v *yaml.Node) string {
	switch v.Kind {
	case yaml.MappingNode:
		return "a mapping"
	case yaml.SequenceNode:
		return "a list"
	}
	if v.ShortTag() == "!!str" {
		return fmt.Sprintf("%.40q", v.Value)
	}
	return fmt.Sprintf("%.40s", v.Value)
}

// ParseGrid reads YAML: a mapping of settings, each with a value or a list of values, or a list of such mappings. Every
// combination is a setting, those that differ in nothing count once:
//
//	method: [lbfgs, adamw]
//	class_weights: [none, balanced, effective]
//	l2: [1e-3, 1e-4, 1e-5]        # lbfgs alone
//	learning_rate: [1e-2, 1e-3]   # adamw alone, like batch, epochs and decay
//	batch: 512
//
// What is absent has the default of Options; the method's is lbfgs. The error names every violation with its line. A grid
// of over 10,000 combinations is one.
func ParseGrid(data []byte) (Grid, error) {
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	var document, second yaml.Node
	if err := decoder.Decode(&document); errors.Is(err, io.EOF) {
		return Grid{}, errors.New("reading the grid: it is empty")
	} else if err != nil {
		return Grid{}, fmt.Errorf("reading the grid: %w", err)
	}
	if err := decoder.Decode(&second); !errors.Is(err, io.EOF) {
		return Grid{}, fmt.Errorf("reading the grid: something follows its end (---): put several grids into one list")
	}
	var p gridParser
	top := resolve(document.Content[0])
	if top.Kind == yaml.SequenceNode {
		if len(top.Content) == 0 {
			p.wrong(top.Line, "the list of grids is empty")
		}
		for _, n := range top.Content {
			p.read(resolve(n))
		}
	} else {
		p.read(top)
	}
	g, err := p.expand()
	if err != nil {
		return Grid{}, fmt.Errorf("reading the grid: %w", err)
	}
	return g, nil
}

// resolve follows an alias to what it stands for.
func resolve(n *yaml.Node) *yaml.Node {
	if n.Kind == yaml.AliasNode {
		return n.Alias
	}
	return n
}

// gridParser collects what grids say, and what is wrong with it.
type gridParser struct {
	grids []map[string][]*yaml.Node // the values of each key
	lines []int                     // of the grids
	errs  []error
}

func (p *gridParser) wrong(line int, format string, args ...any) {
	p.errs = append(p.errs, fmt.Errorf("line %d: %s", line, strings.ReplaceAll(fmt.Sprintf(format, args...), "\n", "; ")))
}

// read reads one mapping.
func (p *gridParser) read(n *yaml.Node) {
	if n.Kind != yaml.MappingNode {
		p.wrong(n.Line, "%s is no grid: a mapping of settings is, such as `l2: [1e-3, 1e-4]`, or a list of mappings", shown(n))
		return
	}
	if len(n.Content) == 0 {
		p.wrong(n.Line, "the grid names no setting")
		return
	}
	grid, keys := map[string][]*yaml.Node{}, map[string]*yaml.Node{}
	for i := 0; i < len(n.Content); i += 2 {
		key, value := n.Content[i], resolve(n.Content[i+1])
		at := slices.IndexFunc(gridKeys, func(k gridKey) bool { return key.Kind == yaml.ScalarNode && k.name == key.Value })
		if at < 0 {
			p.wrong(key.Line, "there is no setting %s; there are %s", shown(key), strings.Join(gridKeyNames(), ", "))
			continue
		}
		if first, twice := keys[key.Value]; twice {
			p.wrong(key.Line, "%s is in line %d already", key.Value, first.Line)
			continue
		}
		keys[key.Value] = key
		values := []*yaml.Node{value}
		if value.Kind == yaml.SequenceNode {
			values = value.Content
		}
		if len(values) == 0 {
			p.wrong(key.Line, "%s is an empty list", key.Value)
		}
		for _, v := range values {
			p.check(gridKeys[at], resolve(v), v.Line)
			grid[key.Value] = append(grid[key.Value], resolve(v))
		}
	}
	for _, k := range gridKeys {
		if key := keys[k.name]; key != nil && !slices.ContainsFunc(methodsOf(grid), func(m string) bool { return slices.Contains(k.methods, m) }) {
			p.wrong(key.Line, "%s belongs to %s, and the method is %s", k.name, k.methods[0], strings.Join(methodsOf(grid), ", "))
		}
	}
	p.grids, p.lines = append(p.grids, grid), append(p.lines, n.Line)
}

// check holds a value to its type and its range, beside defaults.
func (p *gridParser) check(k gridKey, v *yaml.Node, line int) {
	s := defaultSetting(k.methods[0])
	if k.name == "method" {
		s = defaultSetting(v.Value)
	}
	err := k.set(&s, v)
	if err != nil {
		err = fmt.Errorf("%s %w", k.name, err)
	} else {
		err = s.Validate()
	}
	if err != nil {
		p.wrong(line, "%v", err)
	}
}

func gridKeyNames() (names []string) {
	for _, k := range gridKeys {
		names = append(names, k.name)
	}
	return names
}

// methodsOf returns a grid's methods.
func methodsOf(grid map[string][]*yaml.Node) []string {
	values, given := grid["method"]
	if !given {
		return onlyLBFGS
	}
	var methods []string
	for _, v := range values {
		methods = append(methods, v.Value)
	}
	return methods
}

// expand makes the settings of all grids.
func (p *gridParser) expand() (Grid, error) {
	if len(p.errs) > 0 {
		return Grid{}, errors.Join(p.errs...)
	}
	var points float64 // an int would overflow
	for _, grid := range p.grids {
		for _, method := range methodsOf(grid) {
			product := 1.0
			for _, k := range keysOf(method) {
				product *= float64(max(1, len(grid[k.name])))
			}
			points += product
		}
	}
	if points > maxSettings {
		return Grid{}, fmt.Errorf("it has %.0f settings, at most %d are tried: take values away, or divide it into a list of smaller grids", points, maxSettings)
	}
	var g Grid
	seen, said := map[Setting]bool{}, map[string]bool{}
	for i, grid := range p.grids {
		for _, method := range methodsOf(grid) {
			combine(grid, keysOf(method), defaultSetting(method), func(s Setting) {
				// Values that are fine each may not be so together.
				if err := s.Validate(); err != nil && !said[err.Error()] {
					said[err.Error()] = true
					p.wrong(p.lines[i], "%s: %v", s, err)
				}
				if !seen[s] {
					seen[s] = true
					g.settings = append(g.settings, s)
				}
			})
		}
	}
	return g, errors.Join(p.errs...)
}

// keysOf returns the keys that a method uses, but the method itself.
func keysOf(method string) (keys []gridKey) {
	for _, k := range gridKeys[1:] {
		if slices.Contains(k.methods, method) {
			keys = append(keys, k)
		}
	}
	return keys
}

// combine calls each with every combination of the keys' values.
func combine(grid map[string][]*yaml.Node, keys []gridKey, s Setting, each func(Setting)) {
	if len(keys) == 0 {
		each(s)
		return
	}
	values := grid[keys[0].name]
	if len(values) == 0 {
		combine(grid, keys[1:], s, each)
	}
	for _, v := range values {
		if err := keys[0].set(&s, v); err != nil {
			panic("BUG: a value that was checked is refused: " + err.Error())
		}
		combine(grid, keys[1:], s, each)
	}
}
