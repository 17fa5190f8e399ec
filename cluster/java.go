package cluster

import (
	"context"
	"os/exec"
	"path/filepath"
)

// java returns the command that runs a main class of the jars in libs. Without a configuration file, log4j writes what
// is of the given level or above to standard output.
func java(ctx context.Context, libs, level string, jvm []string, class string, args ...string) *exec.Cmd {
	all := append(jvm[:len(jvm):len(jvm)], "-XX:+UseSerialGC", "-Djava.awt.headless=true", "-Dlog4j2.level="+level, "-Dlog4j2.statusLoggerLevel=OFF",
		"-cp", filepath.Join(libs, "*"), class)
	return exec.CommandContext(ctx, "java", append(all, args...)...)
}

// Tool returns the command that runs one of Kafka's own tools, for example org.apache.kafka.tools.TopicCommand, from the
// jars in libs; see FindLibs. The caller sets input and output and runs it; it is killed when ctx ends.
func Tool(ctx context.Context, libs, class string, args ...string) *exec.Cmd {
	// A tool lives for seconds: the first compiler's code is fast enough and there soon.
	return java(ctx, libs, "ERROR", []string{"-Xmx128m", "-XX:TieredStopAtLevel=1"}, class, args...)
}
