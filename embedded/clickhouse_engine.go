package embedded

import (
	"fmt"
	"os"
	"runtime"
	"unsafe"

	"github.com/ebitengine/purego"
)

// EngineCommand is the hidden first argument under which a program must call RunClickHouseEngine before anything else:
//
//	if len(os.Args) > 1 && os.Args[1] == embedded.EngineCommand {
//		os.Exit(embedded.RunClickHouseEngine(os.Args[2:]))
//	}
//
// A test binary does the same first thing in its TestMain.
const EngineCommand = "clickhouse-engine"

// RunClickHouseEngine is the body of the child process: it loads the library args[0], runs the engine with the other
// arguments until its standard input ends, and returns the exit status. What went wrong is written to standard error.
//
// The engine also returns when it could not start, and calls that success; the parent knows better, because it did not
// ask for the stop.
func RunClickHouseEngine(args []string) (status int) {
	if len(args) == 0 {
		fmt.Fprintln(os.Stderr, "running the ClickHouse engine: the library's path must be given")
		return 2
	}
	// purego panics on a library that lacks one of the functions.
	defer func() {
		if r := recover(); r != nil {
			fmt.Fprintln(os.Stderr, "loading the ClickHouse library:", r)
			status = 2
		}
	}()
	library, err := purego.Dlopen(args[0], purego.RTLD_NOW|purego.RTLD_GLOBAL)
	if err != nil {
		fmt.Fprintln(os.Stderr, "loading the ClickHouse library:", err)
		return 2
	}
	var setSignalHandlers func(enabled int32)
	var run func(argc int32, argv unsafe.Pointer) unsafe.Pointer
	var resultError func(result unsafe.Pointer) string
	purego.RegisterLibFunc(&setSignalHandlers, library, "chdb_set_signal_handlers_enabled")
	purego.RegisterLibFunc(&run, library, "chdb_query_cmdline")
	purego.RegisterLibFunc(&resultError, library, "chdb_result_error")
	// First of all: the engine's handlers would turn a nil dereference in Go into a crash of the engine.
	setSignalHandlers(0)

	argv := []*byte{cString("clickhouse")}
	for _, arg := range args[1:] {
		argv = append(argv, cString(arg))
	}
	argc := int32(len(argv))
	argv = append(argv, nil)
	runtime.LockOSThread()
	result := run(argc, unsafe.Pointer(&argv[0]))
	runtime.KeepAlive(argv)
	if message := resultError(result); message != "" {
		fmt.Fprintln(os.Stderr, message)
		return 1
	}
	return 0
}

func cString(s string) *byte { return &append([]byte(s), 0)[0] }
