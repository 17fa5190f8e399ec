// Package compose reads docker-compose.yaml as Docker Compose does, for the tests of what is deployed.
package compose

import (
	"context"
	"fmt"
	"path/filepath"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/types"
)

// Load reads and validates a Compose file with these variables, as NAME=value, and none of the environment or of .env. Services of no profile and of the given
// ones are in Services of the project, the others in DisabledServices. A variable that must be set and is not is an error.
func Load(ctx context.Context, file string, variables []string, profiles ...string) (*types.Project, error) {
	file, err := filepath.Abs(file)
	if err != nil {
		return nil, err
	}
	options, err := cli.NewProjectOptions([]string{file}, cli.WithWorkingDirectory(filepath.Dir(file)), cli.WithName("jobstrom"), cli.WithEnv(variables), cli.WithProfiles(profiles))
	if err != nil {
		return nil, err
	}
	project, err := options.LoadProject(ctx)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", file, err)
	}
	return project, nil
}
