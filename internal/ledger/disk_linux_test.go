// SPDX-License-Identifier: MPL-2.0

package ledger

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// ext4 forgets at once whatever it has not written, as in a power cut.
const (
	ext4Shutdown           = 0x8004587d // EXT4_IOC_SHUTDOWN
	ext4ShutdownNoLogFlush = 2
)

// disk is an ext4 on a loop device.
type disk struct{ image, at string }

// newDisk skips the test where the kernel does not let us mount: that is the one thing
// that `make tools` cannot bring.
func newDisk(t *testing.T) disk {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("simulating a power cut mounts a loop device, which only root may")
	}
	d := disk{filepath.Join(t.TempDir(), "image"), t.TempDir()}
	if err := os.WriteFile(d.image, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(d.image, 64<<20); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("mkfs.ext4", "-q", d.image).CombinedOutput(); err != nil {
		t.Skipf("simulating a power cut: mkfs.ext4: %v %s", err, out)
	}
	if err := d.mount(); err != nil {
		t.Skipf("simulating a power cut: the kernel does not let us mount: %v", err)
	}
	t.Cleanup(func() { _ = exec.Command("umount", d.at).Run() })
	return d
}

func (d disk) mount() error {
	out, err := exec.Command("mount", "-o", "loop", d.image, d.at).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	return nil
}

// cut ends the file system without writing anything more.
func (d disk) cut() error {
	f, err := os.Open(d.at)
	if err != nil {
		return err
	}
	defer f.Close()
	flags := uint32(ext4ShutdownNoLogFlush)
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, f.Fd(), ext4Shutdown, uintptr(unsafe.Pointer(&flags))); errno != 0 {
		return errno
	}
	return nil
}

func TestAPowerCutLosesNothingThatWasAcknowledged(t *testing.T) {
	t.Parallel()
	d, k := newDisk(t), newKeys(t)
	dir := filepath.Join(d.at, "audit")
	var acks []acknowledged
	for run := range 5 {
		w := startWriter(t, dir, k, fmt.Sprintf("run%d", run), 0)
		// The negative control: what nobody syncs has to be gone, or nothing was cut.
		control, err := os.Create(filepath.Join(d.at, "control"))
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(400 * time.Millisecond)
		if _, err := control.WriteString("written and never synced\n"); err != nil {
			t.Fatal(err)
		}
		if err := d.cut(); err != nil {
			t.Skipf("simulating a power cut: the kernel does not cut: %v", err)
		}
		_ = w.cmd.Process.Kill()
		acks = append(acks, <-w.read...)
		_ = w.cmd.Wait()
		control.Close()
		if out, err := exec.Command("umount", d.at).CombinedOutput(); err != nil {
			t.Fatalf("umount: %v %s", err, out)
		}
		if err := d.mount(); err != nil {
			t.Fatal(err)
		}
		if text, err := os.ReadFile(filepath.Join(d.at, "control")); err == nil && len(text) > 0 {
			t.Fatalf("what was never synced is there after the cut: %q, so this test shows nothing", text)
		}
		l := openLedger(t, dir, k)
		appendTo(t, l, fmt.Sprintf("after%d", run))
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		mustBeWhole(t, dir, k)
		holds(t, dir, acks)
	}
	if len(acks) < 20 {
		t.Errorf("only %d entries were acknowledged: this test has seen nothing", len(acks))
	}
}

func TestAFullDiskRefusesEntriesAndLosesNone(t *testing.T) {
	t.Parallel()
	d, k := newDisk(t), newKeys(t)
	dir := filepath.Join(d.at, "audit")
	l := openLedger(t, dir, k)
	appendTo(t, l, "a")
	full, err := os.Create(filepath.Join(d.at, "full"))
	if err != nil {
		t.Fatal(err)
	}
	chunk := make([]byte, 1<<20)
	for err == nil {
		_, err = full.Write(chunk)
	}
	for err = nil; err == nil; { // and the last of it
		_, err = full.Write(chunk[:512])
	}
	full.Close()
	var acknowledged []string
	refused := 0
	for i := 0; refused < 3 && i < 1000; i++ {
		id := fmt.Sprintf("full%d", i)
		if _, err := l.Append(t.Context(), entry(t, id)); err == nil {
			acknowledged = append(acknowledged, id)
		} else {
			refused++
		}
	}
	if refused == 0 {
		t.Error("the disk is full, and entries were still acknowledged")
	}
	if err := os.Remove(full.Name()); err != nil {
		t.Fatal(err)
	}
	l.Close()
	l = openLedger(t, dir, k)
	appendTo(t, l, "after")
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	mustBeWhole(t, dir, k)
	ids := idsOf(t, dir)
	for _, id := range append([]string{"a", "after"}, acknowledged...) {
		if !slices.Contains(ids, id) {
			t.Errorf("%s was acknowledged, and is lost", id)
		}
	}
}
