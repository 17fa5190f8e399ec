// Package browsertest finds Chromium for the tests of pages.
package browsertest

import (
	"os"
	"os/exec"
	"testing"

	"github.com/chromedp/chromedp"
)

// Required, set to "required" in the environment, makes it a failure that Chromium, or what else a test of a page needs, is missing. Otherwise such a test is skipped.
const Required = "JOBSTROM_TEST_CHROMIUM"

// Missing skips a test that needs what is not there, or fails it where that is required.
func Missing(t *testing.T, why string) {
	t.Helper()
	if os.Getenv(Required) == "required" {
		t.Fatal(why)
	}
	t.Skip(why)
}

// Options returns how to start Chromium, or Chrome; it is false where neither is installed. There is no sandbox, because containers allow none, and the pages are ours.
func Options() ([]chromedp.ExecAllocatorOption, bool) {
	for _, name := range []string{"chromium", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			return append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path), chromedp.NoSandbox, chromedp.DisableGPU, chromedp.Flag("disable-dev-shm-usage", true),
				// Chromium drops what is pressed before a page's first paint, without a word.
				chromedp.Flag("allow-pre-commit-input", true)), true
		}
	}
	return nil, false
}

// NotInstalled says that Chromium is missing, and what to do.
const NotInstalled = "chromium is not installed (apt-get install chromium): pages are not tested in a browser"
