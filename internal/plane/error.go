// SPDX-License-Identifier: MPL-2.0

package plane

import (
	"errors"
	"fmt"
	"net/http"

	"github.com/hybridge/terraform-provider-hybridge/internal/plane/registry"
)

// Codes of the Cloudflare API. Clients branch on them, so they are part of the
// contract; those marked "ours" stand for cases whose code at Cloudflare is not
// known. Those of refused uploads are in the package upload.
const (
	codeTunnelNotFound     = 1002 // ours
	codeTunnelNameTaken    = 1013
	codeTunnelConnected    = 1022
	codeTunnelRouted       = 1023 // ours
	codeNetworkTaken       = 1014 // ours
	codeNetworkNotFound    = 1015 // ours
	codeTunnelConfig       = 1056
	codeBadHeaders         = 6003
	codeNoRoute            = 7003
	codeNoCredentials      = 9106
	codeOtherAccount       = 9109
	codeAuthentication     = 10000
	codeInternal           = 10002
	codeBadParameter       = 10004
	codeWorkerNotFound     = 10007
	codeETagMismatch       = 10018
	codeFull               = 10019 // ours
	codeInvalid            = 10021
	codeBadBody            = 10026
	codeTooLarge           = 10027
	codeConcurrent         = 10035
	codeBindingNotFound    = 10056
	codeNameTaken          = 19001 // ours
	codeReferenced         = 19002 // ours
	codeVersionLive        = 19003 // ours
	codeDeploymentLive     = 19004 // ours
	codeBadDeployment      = 19005 // ours: shares that do not add up, versions too old
	codeServiceNotFound    = 10143
	codeSecretsChanged     = 10220
	codeNoVersions         = 10222
	codeDeploymentNotFound = 10336
	codeMethodNotAllowed   = 10405
	codeVersionNotFound    = 100146
)

// Error is a failure that the client is told about. Its message never holds a
// secret or a path of this machine.
type Error struct {
	Status  int
	Code    int
	Message string
	// Transient failures may be retried as they are; all others carry
	// x-should-retry: false, because the SDKs would repeat them for a minute.
	Transient bool
}

func (e *Error) Error() string { return fmt.Sprintf("%s [code: %d]", e.Message, e.Code) }

// Errors are several failures that one answer lists; the first decides the status.
type Errors []*Error

func (es Errors) Error() string {
	list := make([]error, len(es))
	for i, e := range es {
		list[i] = e
	}
	return errors.Join(list...).Error()
}

// fail makes an Error; a remedy belongs at the end of its message.
func fail(status, code int, format string, args ...any) *Error {
	return &Error{Status: status, Code: code, Message: fmt.Sprintf(format, args...)}
}

func invalid(format string, args ...any) *Error {
	return fail(http.StatusBadRequest, codeInvalid, format, args...)
}

func workerNotFound(name string) *Error {
	return fail(http.StatusNotFound, codeWorkerNotFound, "This Worker does not exist on your account: %q.", name)
}

func versionNotFound(id string) *Error {
	return fail(http.StatusNotFound, codeVersionNotFound, "The requested Worker version could not be found, please check the ID being passed and try again: %q.", id)
}

// orElse gives e where err says that the registry has no such thing, else err.
func orElse(err error, e *Error) error {
	if errors.Is(err, registry.ErrNotFound) {
		return e
	}
	return err
}
