package producers

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"go.yaml.in/yaml/v3"

	"jobstrom/schemas"
)

func foldCategory(s string) string { return strings.ToLower(strings.Join(strings.Fields(s), " ")) }

// ReadCategoryMap reads which category of a taxonomy the user's own name stands for, for ReadOptions.Categories: a CSV file with a header and two columns, the
// user's name and the taxonomy's name, code or index, or a YAML file (by its name) of "own name: category". An empty category publishes
// the vacancy without a label. It reports every violation.
func ReadCategoryMap(path string, taxonomy *schemas.Taxonomy) (map[string]string, error) {
	categories := map[string]string{}
	var wrong []error
	add := func(line int, own, category string) {
		found := schemas.Category{}
		var err error
		if strings.TrimSpace(category) != "" {
			found, err = taxonomy.Find(category)
		}
		own = foldCategory(own)
		if _, twice := categories[own]; twice && err == nil {
			err = fmt.Errorf("%q stands there twice", own)
		}
		if own == "" && err == nil {
			err = errors.New("the own name is empty")
		}
		if err != nil {
			wrong = append(wrong, fmt.Errorf("line %d: %w", line, err))
		}
		categories[own] = found.Name
	}
	err := readPairs(path, add)
	if err = errors.Join(append(wrong, err)...); err != nil {
		return nil, fmt.Errorf("reading the category map %s: %w", path, err)
	}
	if len(categories) == 0 {
		return nil, fmt.Errorf("reading the category map %s: it is empty", path)
	}
	return categories, nil
}

func readPairs(path string, add func(line int, own, category string)) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	if strings.HasSuffix(path, ".yaml") || strings.HasSuffix(path, ".yml") {
		var pairs yaml.Node
		if err := yaml.NewDecoder(file).Decode(&pairs); err != nil {
			return err
		}
		if len(pairs.Content) != 1 || pairs.Content[0].Kind != yaml.MappingNode {
			return errors.New("it is not a list of own name: category")
		}
		for i := 0; i+1 < len(pairs.Content[0].Content); i += 2 {
			own, category := pairs.Content[0].Content[i], pairs.Content[0].Content[i+1]
			if category.Kind != yaml.ScalarNode {
				return fmt.Errorf("line %d: the category is not a name", category.Line)
			}
			value := category.Value
			if category.Tag == "!!null" {
				value = ""
			}
			add(own.Line, own.Value, value)
		}
		return nil
	}
	two := func(fields []string) error {
		if len(fields) != 2 {
			return fmt.Errorf("it has %d columns, must have two: the own name and the category", len(fields))
		}
		return nil
	}
	return eachRecord(file, 0, two, func(line int, fields []string, err error) error {
		if err == nil {
			add(line, fields[0], fields[1])
			return nil
		}
		return fmt.Errorf("line %d: %w", line, err)
	})
}
