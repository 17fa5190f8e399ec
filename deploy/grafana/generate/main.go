// Command generate writes the dashboards' JSON files into the working directory. Run it with "go generate ./deploy/grafana".
package main

import (
	"fmt"
	"os"

	"jobstrom/deploy/grafana"
)

func main() {
	files, err := grafana.Files()
	if err != nil {
		fmt.Fprintln(os.Stderr, "generate:", err)
		os.Exit(1)
	}
	for name, file := range files {
		if err := os.WriteFile(name, file, 0o644); err != nil {
			fmt.Fprintln(os.Stderr, "generate:", err)
			os.Exit(1)
		}
	}
}
