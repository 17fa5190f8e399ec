package embedded

import (
	"bytes"
	_ "embed"
	"encoding/xml"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"time"
)

// The ports a ClickHouse server usually listens on.
const (
	DefaultNativePort = 9000
	DefaultHTTPPort   = 8123
)

// ClickHouseOptions says where the engine comes from, where it keeps its data and where it listens.
type ClickHouseOptions struct {
	// DataDir is the folder of the data; it is made when absent. One engine at a time may use it.
	DataDir string
	// BackupDir is the only folder that BACKUP and RESTORE with File(…) may use, DataDir/backups by default; the engine makes it.
	BackupDir string
	// Host is the IP address to listen on, 127.0.0.1 by default; 0.0.0.0 lets other machines in, but only the read-only
	// user viewer.
	Host string
	// NativePort and HTTPPort are the ports of the two protocols, usually DefaultNativePort and DefaultHTTPPort.
	// Zero picks a free one, for tests.
	NativePort, HTTPPort int
	// Library is the path of libchdb.so. When empty, the clickhouse binary on PATH, 26.6 or newer, is run instead.
	Library string
	// Executable is the program whose first argument EngineCommand leads to RunClickHouseEngine; by default the running
	// one. It is not used with a binary on PATH.
	Executable string
	// MemoryLimit bounds the engine's memory in bytes, 2 GiB by default.
	MemoryLimit int64
	// StartTimeout bounds the time until the engine answers, 2 minutes by default: it reads its tables first, and the machine may be busy. An engine that ends is an error at once.
	StartTimeout time.Duration
	// Logger takes what the engine writes, at debug level; nil discards it.
	Logger *slog.Logger
}

// EnsureDefaults fills the fields that are zero, but for the ports.
func (o *ClickHouseOptions) EnsureDefaults() {
	if o.Host == "" {
		o.Host = "127.0.0.1"
	}
	if o.BackupDir == "" && o.DataDir != "" {
		o.BackupDir = filepath.Join(o.DataDir, "backups")
	}
	if o.MemoryLimit == 0 {
		o.MemoryLimit = 2 << 30
	}
	if o.StartTimeout == 0 {
		o.StartTimeout = 2 * time.Minute
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
}

// Validate reports every violation at once.
func (o *ClickHouseOptions) Validate() error {
	var errs []error
	add := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if o.DataDir == "" {
		add("data folder (\"\") must be given")
	}
	if ip := net.ParseIP(o.Host); ip == nil || !ip.IsLoopback() && !ip.IsUnspecified() {
		add("host (%q) must be 127.0.0.1 or 0.0.0.0, or ::1 or ::", o.Host)
	}
	if o.NativePort < 0 || o.NativePort > 65535 {
		add("native port (%d) must be between 0 and 65535", o.NativePort)
	}
	if o.HTTPPort < 0 || o.HTTPPort > 65535 {
		add("http port (%d) must be between 0 and 65535", o.HTTPPort)
	}
	if o.NativePort == o.HTTPPort && o.NativePort != 0 {
		add("native port (%d) must differ from the http port", o.NativePort)
	}
	if o.MemoryLimit < 512<<20 {
		add("memory limit (%d) must be at least %d bytes", o.MemoryLimit, 512<<20)
	}
	if o.StartTimeout <= 0 {
		add("start timeout (%v) must be above 0", o.StartTimeout)
	}
	return errors.Join(errs...)
}

//go:embed config/clickhouse.xml
var clickHouseConfig string

//go:embed config/users.xml
var clickHouseUsers []byte

// prepare makes the data folder with its configuration and returns the engine's arguments, with the native port behind
// the gate. The configuration is named
// in full: the engine would also read any config.xml of its working directory in silence.
func (o *ClickHouseOptions) prepare(nativePort int) ([]string, error) {
	if err := os.MkdirAll(o.DataDir, 0o750); err != nil {
		return nil, fmt.Errorf("making the data folder %s: %w: choose a folder that can be written", o.DataDir, err)
	}
	var backups bytes.Buffer
	if err := xml.EscapeText(&backups, []byte(o.BackupDir)); err != nil {
		return nil, fmt.Errorf("writing the backups' folder %s: %w", o.BackupDir, err)
	}
	config := filepath.Join(o.DataDir, "config.xml")
	if err := os.WriteFile(config, fmt.Appendf(nil, clickHouseConfig, o.MemoryLimit, backups.String()), 0o640); err != nil {
		return nil, fmt.Errorf("writing the configuration into the data folder: %w: choose a folder that can be written", err)
	}
	if err := os.WriteFile(filepath.Join(o.DataDir, "users.xml"), clickHouseUsers, 0o640); err != nil {
		return nil, fmt.Errorf("writing the users into the data folder: %w", err)
	}
	return []string{
		"--path=" + o.DataDir,
		"--listen_host", o.Host,
		"--tcp_port", strconv.Itoa(nativePort),
		"--http_port", strconv.Itoa(o.HTTPPort),
		"--config-file", config,
		"--logger.console", "--log-level=warning",
		// The last statement reads the standard input to its end, so the engine stays up exactly as long as its parent
		// holds the other end of the pipe.
		"--query", "SYSTEM START LISTEN TCP; SYSTEM START LISTEN HTTP; " +
			"SELECT count() FROM file('/dev/stdin', 'LineAsString', 'l String') FORMAT Null",
	}, nil
}
