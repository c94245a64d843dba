package rollout

import "context"

type SystemClock struct{ Clock }

func (p Plan) Check() error { return nil }
func Run(ctx context.Context, p Plan, live Live, clock Clock, report Reporter) Outcome {
	return Outcome{}
}
