// SPDX-License-Identifier: MPL-2.0

package sealed

import (
	"errors"
	"io"
	"os"
	"path/filepath"

	"github.com/getsops/sops/v3/age"
)

// maxKeyFileBytes bounds what is read of a key file.
const maxKeyFileBytes = 1 << 20

// ReadKeyFile reads a file of private keys after it has looked at who else could
// have: it MUST be a regular file and no symbolic link, belong to the user or
// root, and give no rights to group and others. The file that was looked at is
// the one that is read.
func ReadKeyFile(path string) ([]byte, error) {
	f, err := openKeyFile(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxKeyFileBytes))
	if err != nil {
		return nil, &Error{Code: KeyFileMissing, File: path}
	}
	return text, nil
}

// CheckKeyFile reports what ReadKeyFile would refuse, and a file without a usable identity.
func CheckKeyFile(path string) error {
	text, err := ReadKeyFile(path)
	if err != nil {
		return err
	}
	var ignored age.ParsedIdentities
	if err := importIdentities(&ignored, text); err != nil {
		return located(err, KeyFileBad, path, "")
	}
	return nil
}

// checkExposure reports what ReadKeyFile would refuse, without reading.
func checkExposure(path string) error {
	f, err := openKeyFile(path)
	if err != nil {
		return err
	}
	return f.Close()
}

func openKeyFile(path string) (*os.File, error) {
	info, err := os.Lstat(path)
	switch {
	case err != nil:
		return nil, keyFileMissing(path, err)
	case info.Mode()&os.ModeSymlink != 0:
		return nil, &Error{Code: KeyFileExposed, File: path, Detail: "it is a symbolic link"}
	case !info.Mode().IsRegular():
		return nil, &Error{Code: KeyFileExposed, File: path, Detail: "it is no regular file"}
	}
	f, err := openNoFollow(path)
	if err != nil {
		return nil, keyFileMissing(path, err)
	}
	if err := checkOpen(path, f); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// checkOpen looks at the open file: what the path leads to may have changed.
func checkOpen(path string, f *os.File) error {
	info, err := f.Stat()
	if err != nil {
		return keyFileMissing(path, err)
	}
	if !info.Mode().IsRegular() {
		return &Error{Code: KeyFileExposed, File: path, Detail: "it is no regular file"}
	}
	why := exposed(info)
	if dir, err := os.Stat(filepath.Dir(path)); err == nil && why == "" {
		why = replaceable(dir)
	}
	if why != "" {
		return &Error{Code: KeyFileExposed, File: path, Detail: why}
	}
	return nil
}

const doesNotExist = "it does not exist"

// whyMissing says of a key file what an error of the code KeyFileMissing says.
func whyMissing(err error) string {
	var e *Error
	if errors.As(err, &e) && e.Detail == doesNotExist {
		return "does not exist"
	}
	return "cannot be read"
}

func keyFileMissing(path string, err error) *Error {
	e := &Error{Code: KeyFileMissing, File: path}
	switch {
	case os.IsNotExist(err):
		e.Detail = doesNotExist
	case os.IsPermission(err):
		e.Detail = "permission denied"
	}
	return e
}
