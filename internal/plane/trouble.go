// SPDX-License-Identifier: MPL-2.0

package plane

import (
	"context"
	"fmt"
)

// Kinds of Trouble.
const (
	TroubleUnhealthy = "unhealthy"      // the live deployment of a Worker does not run as it should
	TroubleCrashLoop = "crash-loop"     // a version cannot stay up
	TroubleRollout   = "rollout-failed" // the last rollout of a Worker has failed
)

// Trouble is something that is wrong with a Worker of this plane, of any account.
type Trouble struct {
	Kind    string
	Worker  string // its name
	Of      string // id of the version or the rollout; empty where it is about the Worker
	Message string // without what a Worker has answered or written
}

// Troubles are all there are. What is just starting is none.
func (p *Plane) Troubles(ctx context.Context) (list []Trouble, err error) {
	accounts, err := p.reg.Accounts(ctx)
	if err != nil {
		return nil, err
	}
	for _, a := range accounts {
		_, problems, err := p.condition(ctx, a)
		if err != nil {
			return nil, err
		}
		for _, problem := range problems {
			switch {
			case problem.starting:
			case problem.state == "":
				list = append(list, Trouble{Kind: TroubleUnhealthy, Worker: problem.Worker, Message: problem.Message})
			case problem.state == "crash-loop":
				list = append(list, Trouble{Kind: TroubleCrashLoop, Worker: problem.Worker, Of: problem.VersionID, Message: problem.Message})
			}
		}
	}
	failed, err := p.reg.LastRollouts(ctx, "rolled_back", "held", "unknown")
	for _, ro := range failed {
		list = append(list, Trouble{Kind: TroubleRollout, Worker: ro.Worker, Of: ro.ID,
			Message: fmt.Sprintf("The rollout ended in the state %s: \"hybridge rollout show %s\" says why.", ro.State, ro.ID)})
	}
	return list, err
}
