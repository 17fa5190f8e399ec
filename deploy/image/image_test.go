package main

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"

	"jobstrom/embedded/clickhousetest"
	"jobstrom/models"
)

func TestMain(m *testing.M) { os.Exit(clickhousetest.Main(m, "")) }

// container runs the program of a tree as Docker does with read_only, cap_drop and no-new-privileges: in a chroot, as the image's user, nothing of it to be
// written to but /tmp and the data folder. It is barer than Docker's: there is no /proc, no /sys and no /dev.
type container struct {
	t    *testing.T
	tree string
	config
}

// confine takes a folder, a user, a group and a command line. What it mounts is seen by its process alone, and gone with it.
const confine = `mount --bind "$0" "$0" && mount -o remount,bind,ro "$0" && mount -t tmpfs -o mode=1777 none "$0/tmp" &&
	mount -t tmpfs -o "uid=$1,gid=$2,mode=0755" none "$0/var/lib/jobstrom" && shift 2 && exec "$@"`

// command returns a command line of the entry point, with the image's environment and the settings besides.
func (c container) command(ctx context.Context, settings []string, args ...string) *exec.Cmd {
	c.t.Helper()
	var tools []string
	for _, name := range []string{"unshare", "env", "setpriv", "chroot"} {
		path, err := exec.LookPath(name)
		must(c.t, err)
		tools = append(tools, path)
	}
	user, group, _ := strings.Cut(c.User, ":")
	line := []string{"--mount", "--", "sh", "-ec", confine, c.tree, user, group, tools[1], "-i"}
	for name, value := range c.Env {
		line = append(line, name+"="+value)
	}
	line = append(line, settings...)
	line = append(line, tools[2], "--no-new-privs", tools[3], "--userspec="+c.User, "--groups=", c.tree)
	return exec.CommandContext(ctx, tools[0], append(append(line, c.Entrypoint...), args...)...)
}

// run returns the status of a command line, and what it writes.
func (c container) run(settings []string, in string, args ...string) (status int, out, errOut string) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), 3*time.Minute)
	defer cancel()
	cmd := c.command(ctx, settings, args...)
	var o, e bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(in), &o, &e
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		c.t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), o.String(), e.String()
}

// TestImage builds the tree once, by the Dockerfile's own commands, and looks at it and runs it.
func TestImage(t *testing.T) {
	tree := t.TempDir()
	layers, c, err := buildTree("../..", tree, io.Discard)
	must(t, err)
	t.Run("holds what it needs alone", func(t *testing.T) { holds(t, tree) })
	t.Run("weighs what the documentation says", func(t *testing.T) { weighs(t, layers) })
	if os.Geteuid() != 0 {
		t.Skip("SKIPPED: only root can run the image in a chroot, here it was built and looked at")
	}
	if out, err := exec.Command("unshare", "--mount", "--", "true").CombinedOutput(); err != nil {
		t.Skipf("SKIPPED: this root may mount nothing, the image was built and looked at: %v %s", err, out)
	}
	run := container{t, tree, c}
	t.Run("belongs to root", func(t *testing.T) { belongs(t, tree) })
	t.Run("classifies", func(t *testing.T) { run.t = t; run.classifies() })
	t.Run("cannot be changed", func(t *testing.T) { run.t = t; run.isReadOnly() })
	t.Run("finds everything in order", func(t *testing.T) { run.t = t; run.checks() })
	t.Run("says whether it is ready", func(t *testing.T) { run.t = t; run.serves() })
}

// files returns what the tree holds, as path below its root → information. Folders end in a slash.
func files(t *testing.T, tree string) map[string]fs.FileInfo {
	t.Helper()
	all := map[string]fs.FileInfo{}
	must(t, filepath.WalkDir(tree, func(path string, d fs.DirEntry, err error) error {
		if err != nil || path == tree {
			return err
		}
		info, err := d.Info()
		name := strings.TrimPrefix(path, tree)
		if d.IsDir() {
			name += "/"
		}
		all[name] = info
		return err
	}))
	return all
}

// The program, what it loads, whom it trusts and who it is: no shell, nothing that becomes somebody else.
func holds(t *testing.T, tree string) {
	encoder := "/opt/jobstrom/" + models.DefaultEncoder + "/"
	known := regexp.MustCompile(`^(/usr/local/bin/jobstrom|/opt/jobstrom/lib/libonnxruntime\.so|` + encoder + `(card\.json|model\.onnx|tokenizer\.json)|/etc/(passwd|group|ssl/certs/ca-certificates\.crt)|` +
		`/lib(64)?/([a-z0-9_-]+/)?(ld-linux-[a-z0-9-]+\.so\.\d|lib(c|m|gcc_s|stdc\+\+|dl|rt|pthread|resolv)\.so\.\d+))$`)
	var libraries int
	for name, info := range files(t, tree) {
		if info.IsDir() {
			continue
		}
		if !known.MatchString(name) {
			t.Errorf("%s is in the image", name)
		}
		if strings.Contains(name, ".so.") {
			libraries++
		}
		if info.Mode()&(fs.ModeSetuid|fs.ModeSetgid) != 0 || info.Mode().Perm()&0o022 != 0 {
			t.Errorf("%s has the mode %v", name, info.Mode())
		}
	}
	if libraries < 5 {
		t.Errorf("only %d libraries are in the image", libraries)
	}
	authorities, err := os.ReadFile(filepath.Join(tree, "etc/ssl/certs/ca-certificates.crt"))
	must(t, err)
	if !x509.NewCertPool().AppendCertsFromPEM(authorities) {
		t.Error("the image trusts nobody")
	}
	if _, err := models.Verify(filepath.Join(tree, encoder)); err != nil {
		t.Error(err)
	}
}

// documentedSize is how docs/docker.md states the size.
var documentedSize = regexp.MustCompile(`The image has (\d+) MB`)

func weighs(t *testing.T, layers []layer) {
	text, err := os.ReadFile("../../docs/docker.md")
	must(t, err)
	var sum int64
	for _, l := range layers {
		t.Logf("%6.1f MB  %s", float64(l.Bytes)/1e6, l.Instruction)
		sum += l.Bytes
	}
	stated := documentedSize.FindSubmatch(text)
	if stated == nil {
		t.Fatal("docs/docker.md does not say how large the image is")
	}
	megabytes, err := strconv.ParseFloat(string(stated[1]), 64)
	must(t, err)
	if got := float64(sum) / 1e6; got > megabytes*1.05 || got < megabytes*.95 {
		t.Errorf("the image has %.0f MB, docs/docker.md says %.0f", got, megabytes)
	}
}

// Only the data folder is the user's.
func belongs(t *testing.T, tree string) {
	for name, info := range files(t, tree) {
		owner := info.Sys().(*syscall.Stat_t).Uid
		if ours := owner == 65532; owner != 0 && !ours || ours != (name == "/var/lib/jobstrom/") {
			t.Errorf("%s belongs to %d", name, owner)
		}
	}
}

const vacancy = `{"id":"a","title":"Sygeplejerske","text":"Vi søger en sygeplejerske til nattevagter på medicinsk afdeling. Du skal pleje patienter."}` + "\n"

func (c container) classifies() {
	if status, out, errOut := c.run(nil, "", "version"); status != 0 || !strings.HasPrefix(out, "jobstrom dev") {
		c.t.Errorf("status %d: %s%s", status, out, errOut)
	}
	status, out, errOut := c.run(nil, vacancy, "classify", "-")
	var answer struct{ Category string }
	if err := json.Unmarshal([]byte(out), &answer); err != nil || status != 0 || answer.Category != "Sundhed, omsorg og personlig pleje" {
		c.t.Errorf("status %d: %s%s: %v", status, out, errOut, err)
	}
}

func (c container) isReadOnly() {
	f := func(folder, want string, status int) {
		c.t.Helper()
		got, out, errOut := c.run(nil, "", "tokens", "new", "a", "--tokens", folder+"/tokens.yaml")
		if got != status || !strings.Contains(out+errOut, want) {
			c.t.Errorf("writing to %s: status %d, %s%s, want %q", folder, got, out, errOut, want)
		}
	}
	f("", "read-only file system", 1)
	f("/etc", "read-only file system", 1)
	f("/opt/jobstrom", "read-only file system", 1)
	f("/tmp", "", 0)
	f("/var/lib/jobstrom", "", 0)
	for _, program := range []string{"sh", "/bin/sh"} {
		shell := c
		shell.Entrypoint = []string{program}
		if status, out, _ := shell.run(nil, "", "-c", "echo reached"); status == 0 || strings.Contains(out, "reached") {
			c.t.Errorf("the image runs %s: %s", program, out)
		}
	}
}

// jobstrom check is content with a Kafka and a ClickHouse that are not its own.
func (c container) checks() {
	broker, err := kfake.NewCluster(kfake.NumBrokers(1))
	must(c.t, err)
	c.t.Cleanup(broker.Close)
	settings := []string{"JOBSTROM_BROKERS=" + strings.Join(broker.ListenAddrs(), ","), "JOBSTROM_CLICKHOUSE=" + clickhousetest.Engine(c.t).Addr(), "JOBSTROM_CLICKHOUSE_DATABASE=default", "JOBSTROM_HTTP=127.0.0.1:0"}
	if status, out, errOut := c.run(settings, "", "check"); status != 0 || strings.Contains(out, "FAIL") || !strings.Contains(out, "ok    data folder") {
		c.t.Errorf("status %d:\n%s%s", status, out, errOut)
	}
}

// serves starts the API and asks it as the health check does, before, while and after it is there.
func (c container) serves() {
	// An address that nobody else listens on meanwhile.
	listener, err := net.Listen("tcp", fmt.Sprintf("127.77.%d.%d:0", os.Getpid()>>8&255, os.Getpid()&255))
	must(c.t, err)
	settings := []string{"JOBSTROM_HTTP=127.0.0.1:0", "JOBSTROM_METRICS_ADDRESS=" + listener.Addr().String()}
	must(c.t, listener.Close())
	if status, out, errOut := c.run(settings, "", "ready"); status != 1 || !strings.Contains(errOut, "is it running") {
		c.t.Errorf("before the start: status %d: %s%s", status, out, errOut)
	}
	var said bytes.Buffer
	api := c.command(c.t.Context(), settings, "serve")
	api.Stdout, api.Stderr = &said, &said
	must(c.t, api.Start())
	for deadline := time.Now().Add(2 * time.Minute); ; <-time.After(100 * time.Millisecond) {
		status, out, errOut := c.run(settings, "", "ready")
		if status == 0 && out == "ready\n" {
			break
		}
		if time.Now().After(deadline) {
			_ = api.Process.Kill()
			_ = api.Wait()
			c.t.Fatalf("after two minutes: status %d: %s%s; the API: %s", status, out, errOut, &said)
		}
	}
	must(c.t, api.Process.Signal(syscall.SIGTERM)) // every program of the line became the next: this is jobstrom
	if err := api.Wait(); err != nil {
		c.t.Errorf("it ended with %v: %s", err, &said)
	}
}
