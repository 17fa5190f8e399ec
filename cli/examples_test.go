package cli

import (
	"bufio"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"jobstrom/models"
	"jobstrom/telemetry/logtest"
)

// example is what one folder of examples/ can do; nil where its tool cannot.
type example struct {
	name                       string
	publish, consume, classify []string
	// reads says that classify reads a vacancy from its standard input, instead of a text as its argument.
	reads bool
	// follows says that consume begins with what comes next, not with the first answer.
	follows bool
}

// The examples publish, consume and classify with one running flow.
func TestExamples(t *testing.T) {
	f := startFlow(t, "")
	t.Setenv("BROKERS", "127.0.0.1:"+f.kafka)
	t.Setenv("URL", "http://127.0.0.1:"+f.web)
	native, err := models.NativeDir()
	must(t, err)
	t.Setenv("PYTHONPATH", filepath.Join(native, "python"))
	if _, err := os.Stat(filepath.Join(native, "python")); err != nil {
		t.Fatal("confluent-kafka is missing: make test fetches it for Python 3.9 to 3.14 on Linux x86-64")
	}
	program := filepath.Join(t.TempDir(), "example")
	if out, err := exec.Command("go", "build", "-o", program, "../examples/go").CombinedOutput(); err != nil {
		t.Fatalf("building examples/go: %v\n%s", err, out)
	}
	in := func(folder, file string) string { return filepath.Join("..", "examples", folder, file) }
	for _, e := range []example{
		{name: "go", publish: []string{program, "publish"}, consume: []string{program, "consume"}, classify: []string{program, "classify"}},
		{name: "python", publish: []string{"python3", in("python", "publish.py")}, consume: []string{"python3", in("python", "consume.py")}, classify: []string{"python3", in("python", "classify.py")}},
		{name: "curl", publish: []string{in("curl", "publish.sh")}, consume: []string{in("curl", "consume.sh")}, classify: []string{in("curl", "classify.sh")}, reads: true, follows: true},
		{name: "kcat", publish: []string{in("kcat", "publish.sh")}, consume: []string{in("kcat", "consume.sh")}},
	} {
		t.Run(e.name, func(t *testing.T) { e.check(t, f) })
	}
}

// check publishes two vacancies, consumes their answers, and classifies a text.
func (e example) check(t *testing.T, f *flowUnderTest) {
	const text, category = "Vi søger en sygeplejerske til akutmodtagelsen. Du skal pleje patienter og måle blodtryk.", "Sundhed, omsorg og personlig pleje"
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	f.t = t
	var lines strings.Builder
	wanted := map[string]bool{}
	for _, id := range []string{e.name + "-1", e.name + "-2"} {
		wanted[id] = true
		must(t, json.NewEncoder(&lines).Encode(map[string]string{"id": id, "text": text}))
	}
	publish := func() {
		if out, err := e.command(ctx, e.publish, lines.String()).CombinedOutput(); err != nil && ctx.Err() == nil {
			t.Errorf("publishing: %v\n%s", err, out)
		}
	}
	publish()
	consume := e.command(ctx, e.consume, "")
	consume.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // a script's children end with it
	var said logtest.Buffer
	consume.Stderr = &said
	out, err := consume.StdoutPipe()
	must(t, err)
	must(t, consume.Start())
	defer func() {
		_ = syscall.Kill(-consume.Process.Pid, syscall.SIGINT)
		_ = consume.Wait()
	}()
	if e.follows {
		seen, done := context.WithCancel(ctx)
		again := make(chan struct{})
		go func() { // nobody outside sees when it has begun to follow
			defer close(again)
			for seen.Err() == nil {
				publish()
				select {
				case <-seen.Done():
				case <-time.After(time.Second):
				}
			}
		}()
		defer func() {
			done()
			<-again
		}()
	}
	for answers := bufio.NewScanner(out); len(wanted) > 0; {
		if !answers.Scan() {
			t.Fatalf("consuming ended before %v: %v\n%s", wanted, answers.Err(), &said)
		}
		for id := range wanted {
			if strings.Contains(answers.Text(), id) {
				delete(wanted, id)
				if !strings.Contains(answers.Text(), category) {
					t.Errorf("the answer is %s", answers.Text())
				}
			}
		}
	}
	if e.classify == nil {
		return
	}
	command, vacancy := e.classify, ""
	if e.reads {
		vacancy = `{"text":"` + text + `"}`
	} else {
		command = append(command, text)
	}
	answer, err := e.command(ctx, command, vacancy).CombinedOutput()
	if err != nil || !strings.Contains(string(answer), category) {
		t.Fatalf("classifying: %v\n%s", err, answer)
	}
	if !e.reads {
		command[len(command)-1] = "?"
	}
	answer, err = e.command(ctx, command, `{"text":"?"}`).CombinedOutput()
	if err == nil || !strings.Contains(string(answer), "422") {
		t.Fatalf("classifying nothing: %v\n%s", err, answer)
	}
}

func (e example) command(ctx context.Context, args []string, in string) *exec.Cmd {
	c := exec.CommandContext(ctx, args[0], args[1:]...)
	c.Stdin = strings.NewReader(in)
	return c
}
