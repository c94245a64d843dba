// SPDX-License-Identifier: MPL-2.0

package tfkit

import (
	"context"
	"fmt"

	"github.com/hashicorp/terraform-plugin-framework/action"
	actionschema "github.com/hashicorp/terraform-plugin-framework/action/schema"
	"github.com/hashicorp/terraform-plugin-framework/schema/validator"
)

// Action is embedded in every action: it receives the provider's Data.
type Action struct {
	Data *Data
}

// Configure implements action.ActionWithConfigure.
func (a *Action) Configure(_ context.Context, req action.ConfigureRequest, resp *action.ConfigureResponse) {
	a.Data = data(req.ProviderData, &resp.Diagnostics)
}

// ActionPlaneAttribute is the attribute plane of every action.
func ActionPlaneAttribute() actionschema.StringAttribute {
	return actionschema.StringAttribute{
		Optional: true,
		MarkdownDescription: "Name of the plane to use, a key of the provider's `planes`. " +
			"Default: the plane that the provider block itself configures.",
		Validators: []validator.String{PlaneName()},
	}
}

// progressBuffer is more than an action says.
const progressBuffer = 64

// Progress forwards an action's messages to Terraform. SendProgress of the framework
// blocks for ever once Terraform is gone, so only a goroutine of its own calls it, and
// nothing waits for that one after ctx has ended. done MUST be called; it returns when
// everything has been sent, or ctx has ended.
func Progress(ctx context.Context, resp *action.InvokeResponse) (say func(format string, args ...any), done func()) {
	messages, finished := make(chan string, progressBuffer), make(chan struct{})
	go func() {
		defer close(finished)
		for message := range messages {
			resp.SendProgress(action.InvokeProgressEvent{Message: message})
		}
	}()
	say = func(format string, args ...any) {
		select {
		case messages <- fmt.Sprintf(format, args...):
		case <-ctx.Done():
		}
	}
	done = func() {
		close(messages)
		select {
		case <-finished:
		case <-ctx.Done():
		}
	}
	return say, done
}
