// SPDX-License-Identifier: MPL-2.0

package upload

import (
	"fmt"
	"net/http"
	"strings"
)

// Codes of the Cloudflare API that an upload can be refused with. Clients branch
// on them, so they are part of the contract.
const (
	CodeUnsupportedContentType = 10001 // neither multipart nor anything else that is understood
	CodeUnparsable             = 10006 // the script cannot be found or read in the body
	CodeInvalidName            = 10016 // Worker name
	CodeInvalid                = 10021 // validation: bindings, dates, flags, modules
	CodeBadBody                = 10026 // multipart or metadata is no valid multipart or JSON
	CodeTooLarge               = 10027 // code above the size limit
	CodeBindingNameless        = 10052
	CodeVariableTooLarge       = 10054
	CodeTooManyVariables       = 10055
	CodeUnresolvedInherit      = 10057 // one error per name
	CodeMigrationInVersion     = 10211 // Durable Object life cycle outside a full deployment
)

// Error is a refusal of an upload that the uploader can mend. Its text never
// holds the value of a binding.
type Error struct {
	Status  int // HTTP status
	Code    int // code of the Cloudflare API
	Message string
}

func (e *Error) Error() string { return e.Message }

// Errors are several refusals at once, all of which the answer lists.
type Errors []*Error

func (es Errors) Error() string {
	texts := make([]string, len(es))
	for i, e := range es {
		texts[i] = e.Message
	}
	return strings.Join(texts, "; ")
}

// Unwrap lets errors.As find the first refusal.
func (es Errors) Unwrap() []error {
	out := make([]error, len(es))
	for i, e := range es {
		out[i] = e
	}
	return out
}

func refuse(code int, format string, args ...any) *Error {
	status := http.StatusBadRequest
	switch code {
	case CodeTooLarge:
		status = http.StatusRequestEntityTooLarge
	case CodeUnsupportedContentType:
		status = http.StatusUnsupportedMediaType
	}
	return &Error{Status: status, Code: code, Message: fmt.Sprintf(format, args...)}
}
