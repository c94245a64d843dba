// SPDX-License-Identifier: MPL-2.0

package plane_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/hybridge/terraform-provider-hybridge/internal/plane/planetest"
)

// smallDisk is set in the process that has a disk of its own, and names its directory.
const smallDisk = "HYBRIDGE_TEST_SMALL_DISK"

// A disk of 4 MiB, in namespaces of a process of its own: no root is needed for it.
func TestAFullDiskRefusesWritesAndGoesOnServing(t *testing.T) {
	t.Parallel()
	if dir := os.Getenv(smallDisk); dir != "" {
		if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=4m,mode=0700"); err != nil {
			t.Fatal(err)
		}
		onASmallDisk(t, dir)
		return
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
	cmd.Env = append(os.Environ(), smallDisk+"="+t.TempDir())
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  unix.CLONE_NEWUSER | unix.CLONE_NEWNS,
		UidMappings: []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}},
	}
	out, err := cmd.CombinedOutput()
	if errors.Is(err, unix.EPERM) || errors.Is(err, unix.ENOSPC) || strings.Contains(string(out), "operation not permitted") {
		t.Skip("this machine lets nobody make namespaces, and so no small disk: sysctl kernel.unprivileged_userns_clone=1, or kernel.apparmor_restrict_unprivileged_userns=0")
	}
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}

func onASmallDisk(t *testing.T, dir string) {
	p := planetest.New(t, planetest.Options{Workerd: true, Dir: filepath.Join(dir, "plane")})
	call(t, p, "POST", "/workers/workers", `{"name":"api","subdomain":{"enabled":true}}`)
	var v struct{ ID string }
	call(t, p, "POST", "/workers/workers/api/versions", uploadBody(helloModule, "")).into(t, &v)
	call(t, p, "POST", "/workers/scripts/api/deployments", deployBody(v.ID, 100))
	serves := func() {
		t.Helper()
		if status, body := p.Get(t, "api", "/"); status != 200 || body == "" {
			t.Errorf("the Worker answers %d %q", status, body)
		}
	}
	serves()
	unused := p.NewToken(t, "read")

	// Fill it to its last byte.
	ballast := filepath.Join(dir, "ballast")
	f, err := os.Create(ballast)
	if err != nil {
		t.Fatal(err)
	}
	block := make([]byte, 4096)
	for err == nil {
		_, err = f.Write(block)
	}
	if !errors.Is(err, unix.ENOSPC) {
		t.Fatal(err)
	}
	_ = f.Close()

	// A page of the database may be free; then it is refused soon.
	var last answer
	for n := 0; n < 200 && last.status != 507; n++ {
		last = try(t, p, "POST", "/workers/workers", fmt.Sprintf(`{"name":"w%d"}`, n))
	}
	if last.code() != 10019 || last.header.Get("X-Should-Retry") != "false" {
		t.Errorf("a new Worker on a full disk: %v", last)
	}
	big := `export default { fetch() { return new Response("` + strings.Repeat("0123456789", 2000) + `") } }`
	refused(t, p, 507, 10019, "Make room", "POST", "/workers/workers/api/versions", uploadBody(big, ""))
	refused(t, p, 507, 10019, "Workers go on serving", "POST", "/workers/workers/api/versions", uploadBody(big+"//2", ""))
	serves()
	call(t, p, "GET", "/workers/workers/api", "")
	call(t, p, "GET", "/workers/workers/api", "", bearer(unused)...) // whose use cannot be noted
	if a := try(t, p, "GET", "/hybridge/v1/plane", ""); a.status != 200 {
		t.Errorf("%v", a)
	}

	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	call(t, p, "POST", "/workers/workers/api/versions", uploadBody(big, ""))
	serves()
}
