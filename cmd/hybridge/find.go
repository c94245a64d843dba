// SPDX-License-Identifier: MPL-2.0

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"

	"github.com/hybridge/terraform-provider-hybridge/internal/plane/workerd"
)

// findWorkerd looks where workerd.Find looks and then, like npx, for what
// "npm install workerd" has installed in this directory or one above it.
func findWorkerd(flag string, getenv func(string) string) (string, error) {
	path, err := workerd.Find(flag, getenv)
	if err == nil || flag != "" || getenv(workerd.PathVariable) != "" {
		return path, err
	}
	err = fmt.Errorf("finding workerd: no binary on PATH, and no node_modules with one in this directory or one above it; "+
		"run \"npm install workerd\" here, or point --workerd or %s to a binary", workerd.PathVariable)
	dir, wdErr := os.Getwd()
	if wdErr != nil {
		return "", err
	}
	for {
		if p, npmErr := workerd.Find(npmBinary(dir), getenv); npmErr == nil {
			return p, nil
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", err
		}
		dir = parent
	}
}

// npmBinary is where npm puts the binary. The package "workerd" itself has a
// Node.js script only.
func npmBinary(dir string) string {
	arch := map[string]string{"amd64": "64", "arm64": "arm64"}[runtime.GOARCH]
	return filepath.Join(dir, "node_modules", "@cloudflare", "workerd-"+runtime.GOOS+"-"+arch, "bin", "workerd")
}
