// SPDX-License-Identifier: MPL-2.0

package credential

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func write(t *testing.T, path, text string, mode os.FileMode) string {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestAFileThatOthersCouldReadIsRefused(t *testing.T) {
	t.Parallel()
	for mode, fine := range map[os.FileMode]bool{0o400: true, 0o600: true, 0o440: false, 0o640: false, 0o604: false, 0o644: false} {
		text, err := Read(write(t, filepath.Join(t.TempDir(), "token"), "canary\n", mode))
		switch {
		case fine && (err != nil || string(text) != "canary"):
			t.Errorf("%#o: %q %v", mode, text, err)
		case !fine && (err == nil || strings.Contains(err.Error(), "canary")):
			t.Errorf("%#o: %v", mode, err)
		}
	}
	if _, err := Read(write(t, filepath.Join(t.TempDir(), "token"), " \n", 0o600)); err == nil || !strings.Contains(err.Error(), "it is empty") {
		t.Errorf("an empty one: %v", err)
	}
}

// systemd's credentials: mode 0400 where the service's user owns them, and 0440
// where an access list of root's file names it, whose mask is what the group's bits show.
func TestSystemdsDirectoryHasItsOwnModes(t *testing.T) {
	dir := t.TempDir()
	t.Setenv(DirectoryVariable, dir+"/")
	for mode, fine := range map[os.FileMode]bool{0o400: true, 0o440: true, 0o600: true, 0o640: true, 0o460: false, 0o444: false, 0o404: false, 0o402: false} {
		path := filepath.Join(dir, "token")
		_ = os.Remove(path)
		text, err := Read(write(t, path, "canary\n", mode))
		switch {
		case fine && (err != nil || string(text) != "canary"):
			t.Errorf("%#o: %q %v", mode, text, err)
		case !fine && (err == nil || !strings.Contains(err.Error(), "LoadCredential") || strings.Contains(err.Error(), "canary")):
			t.Errorf("%#o: %v", mode, err)
		}
	}

	// A name that leads elsewhere is not systemd's.
	elsewhere := write(t, filepath.Join(t.TempDir(), "token"), "canary", 0o440)
	if err := os.Symlink(elsewhere, filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{filepath.Join(dir, "link"), elsewhere, filepath.Join(dir, "..", filepath.Base(dir)+"x", "token")} {
		if _, err := Read(path); err == nil {
			t.Errorf("%s was read", path)
		}
	}
	if _, err := Read(filepath.Join(dir, "nothing")); err == nil || !strings.Contains(err.Error(), "name it in LoadCredential= of the unit") {
		t.Errorf("one that is not there: %v", err)
	}
}

// asNobody is set in the process that reads root's file as another user.
const asNobody = "HYBRIDGE_TEST_CREDENTIAL"

// A service's user reads root's file: the group stands in for the access list.
func TestAServicesUserReadsRootsCredential(t *testing.T) {
	t.Parallel()
	if path := os.Getenv(asNobody); path != "" {
		if text, err := Read(path); err != nil || string(text) != "canary" {
			t.Errorf("%q %v", text, err)
		}
		_ = os.Unsetenv(DirectoryVariable)
		if _, err := Read(path); err == nil {
			t.Error("the same file counts as closed outside of systemd's directory")
		}
		return
	}
	if os.Getuid() != 0 {
		t.Skip("only root can make root's file")
	}
	const nobody = 65534
	dir, err := os.MkdirTemp("", "credentials")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	own, err := os.ReadFile(os.Args[0])
	if err != nil {
		t.Fatal(err)
	}
	program := write(t, filepath.Join(dir, "test"), string(own), 0o755)
	path := write(t, filepath.Join(dir, "token"), "canary\n", 0o440)
	for _, err := range []error{os.Chmod(dir, 0o750), os.Chown(dir, 0, nobody), os.Chown(path, 0, nobody)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.CommandContext(t.Context(), program, "-test.run=^"+t.Name()+"$", "-test.v")
	cmd.Env = []string{asNobody + "=" + path, DirectoryVariable + "=" + dir}
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}
