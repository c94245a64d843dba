// SPDX-License-Identifier: MPL-2.0

package stage

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestExportsAreReadAsAShellWould(t *testing.T) {
	t.Parallel()
	got, err := parseEnv("# a comment\nexport CLOUDFLARE_BASE_URL='http://127.0.0.1:1/client/v4'\n" +
		"export CLOUDFLARE_API_BASE_URL=\"b\"\nCLOUDFLARE_API_TOKEN=c\n\nexport CLOUDFLARE_ACCOUNT_ID=d=e\n")
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		"CLOUDFLARE_BASE_URL": "http://127.0.0.1:1/client/v4", "CLOUDFLARE_API_BASE_URL": "b", "CLOUDFLARE_API_TOKEN": "c", "CLOUDFLARE_ACCOUNT_ID": "d=e",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestExportsThatAreIncompleteAreRefused(t *testing.T) {
	t.Parallel()
	if _, err := parseEnv("export CLOUDFLARE_BASE_URL=a\n"); err == nil || !strings.Contains(err.Error(), "CLOUDFLARE_API_BASE_URL") {
		t.Errorf("err = %v, want one that names CLOUDFLARE_API_BASE_URL", err)
	}
}

func TestProgramsOnAStageInheritNothingThatSteersThem(t *testing.T) {
	t.Setenv("TF_CLI_ARGS", "-destroy")
	t.Setenv("CLOUDFLARE_API_TOKEN", "of another plane")
	t.Setenv("HYBRIDGE_LOG", "trace")
	s := &Stage{Dir: t.TempDir()}
	env := s.environ(map[string]string{"TF_VAR_a": "b"})
	for _, entry := range env {
		for _, name := range []string{"TF_CLI_ARGS=", "CLOUDFLARE_", "HYBRIDGE_"} {
			if strings.HasPrefix(entry, name) {
				t.Errorf("the environment has %s", entry)
			}
		}
	}
	for _, want := range []string{"TF_VAR_a=b", "TF_CLI_CONFIG_FILE=" + filepath.Join(s.Dir, "cli.tfrc"), "TMPDIR=" + filepath.Join(s.Dir, "tmp")} {
		if !slices.Contains(env, want) {
			t.Errorf("the environment lacks %s", want)
		}
	}
}

func TestCopyTreeLeavesTheTracesOfRunsBehind(t *testing.T) {
	t.Parallel()
	src, dst := t.TempDir(), filepath.Join(t.TempDir(), "copy")
	for _, name := range []string{"main.tf", "src/index.ts", ".terraform/providers/x", ".terraform.lock.hcl", "terraform.tfstate", "terraform.tfstate.backup", "node_modules/hono/package.json"} {
		path := filepath.Join(src, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(name), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("hono", filepath.Join(src, "node_modules", "linked")); err != nil {
		t.Fatal(err)
	}
	if err := CopyTree(dst, src); err != nil {
		t.Fatal(err)
	}
	var got []string
	err := filepath.WalkDir(dst, func(path string, entry os.DirEntry, err error) error {
		if err == nil && !entry.IsDir() {
			rel, _ := filepath.Rel(dst, path)
			got = append(got, rel)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"main.tf", "node_modules/hono/package.json", "node_modules/linked", "src/index.ts"}, got); diff != "" {
		t.Error(diff)
	}
	if link, err := os.Readlink(filepath.Join(dst, "node_modules", "linked")); err != nil || link != "hono" {
		t.Errorf("the link reads %q, %v; want hono", link, err)
	}
}

func TestDescendantsAreFoundAtEveryDepth(t *testing.T) {
	t.Parallel()
	cmd := exec.CommandContext(t.Context(), "sh", "-c", "sh -c 'sleep 60; :' & echo started; wait")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := out.Read(make([]byte, 8)); err != nil {
		t.Fatal(err)
	}
	var below []int
	for len(below) < 2 && t.Context().Err() == nil { // the grandchild starts in its own time
		if below, err = Descendants(cmd.Process.Pid); err != nil {
			t.Fatal(err)
		}
	}
	for _, pid := range below {
		if !Alive(pid) {
			t.Errorf("process %d was listed and is not alive", pid)
		}
		process, err := os.FindProcess(pid)
		if err != nil {
			t.Fatal(err)
		}
		_ = process.Kill()
	}
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	if Alive(cmd.Process.Pid) {
		t.Error("a process that was waited for counts as alive")
	}
}
