// Command jobstrom classifies job vacancies on Kafka; see README.md.
package main

import (
	"os"

	"jobstrom/cli"
)

func main() { os.Exit(cli.Main(os.Args[1:])) }
