// SPDX-License-Identifier: MPL-2.0

package canary_test

import (
	"archive/zip"
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/hybridge/terraform-provider-hybridge/internal/provider/acctest/canary"
)

const secret = "s3cr3t/+ \"canary\" with & é"

func TestEveryFormIsFound(t *testing.T) {
	t.Parallel()
	quoted, err := json.Marshal(secret)
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"raw": secret, "json": string(quoted), "hex": hex.EncodeToString([]byte(secret)), "query": url.QueryEscape(secret),
		"path": url.PathEscape(secret), "go": fmt.Sprintf("%q", secret), "bytes": fmt.Sprint([]byte(secret)),
		"base64": base64.StdEncoding.EncodeToString([]byte(secret)), "base64url": base64.URLEncoding.EncodeToString([]byte(secret)),
	} {
		if found := canary.In([]byte("before "+text+" after"), secret); len(found) == 0 {
			t.Errorf("not found as %s", name)
		}
	}
	for n := range 6 {
		text := base64.StdEncoding.EncodeToString([]byte(strings.Repeat("x", n) + secret + "tail"))
		if found := canary.In([]byte(text), secret); len(found) == 0 {
			t.Errorf("not found in base64 after %d bytes", n)
		}
	}
	if found := canary.In([]byte("nothing to see, not even s3cr3t"), secret); len(found) > 0 {
		t.Errorf("found where it is not: %v", found)
	}
}

func TestFilesAreSearched(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write := func(name string, data []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	write("state", []byte("{"+secret+"}"))
	write("plan", zipped(t, "tfplan", []byte(secret)))
	write("nested", zipped(t, "inner.zip", zipped(t, "deep", gzipped(t, []byte(secret)))))
	write("log.gz", gzipped(t, []byte(secret)))
	allowed := write("key", []byte(secret))
	write("clean", []byte("nothing"))
	found, err := canary.InFiles(dir, []string{"another secret than that", secret}, allowed)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"state (", "plan/tfplan (", "nested/inner.zip/deep", "log.gz (gunzipped)"} {
		if !slices.ContainsFunc(found, func(f string) bool { return strings.Contains(f, name) }) {
			t.Errorf("nothing is found in %s: %v", name, found)
		}
	}
	for _, f := range found {
		if strings.Contains(f, allowed+" ") || strings.Contains(f, "clean") {
			t.Errorf("found %s", f)
		}
	}
}

func zipped(t *testing.T, name string, data []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	w := zip.NewWriter(&out)
	member, err := w.Create(name)
	if err == nil {
		_, err = member.Write(data)
	}
	if err = errors.Join(err, w.Close()); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func gzipped(t *testing.T, data []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	_, err := w.Write(data)
	if err = errors.Join(err, w.Close()); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func TestProcessesAreSearched(t *testing.T) {
	t.Parallel()
	start := func(env []string, more ...string) int {
		cmd := exec.CommandContext(t.Context(), "sh", append([]string{"-c", "read wait"}, more...)...)
		input, err := cmd.StdinPipe() // without an end, so it waits
		if err != nil {
			t.Fatal(err)
		}
		cmd.Env = env
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			_ = input.Close()
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
		})
		return cmd.Process.Pid
	}
	inArguments := start(nil, secret)
	inEnvironment := start([]string{"PASSWORD=" + secret})
	innocent := start([]string{"STAGE=test"})
	for pid, want := range map[int]string{inArguments: "cmdline", inEnvironment: "environ", innocent: ""} {
		found := strings.Join(canary.InProcesses([]int{pid}, []string{secret}), ", ")
		if (want == "") != (found == "") || !strings.Contains(found, want) {
			t.Errorf("found %q, want %q", found, want)
		}
	}
}
