// Command run kills a flow's processes while vacancies stream through it, and says what became of each vacancy: `make chaos`.
package main

import (
	"os"

	"jobstrom/chaos"
)

func main() { os.Exit(chaos.Main(os.Args[1:])) }
