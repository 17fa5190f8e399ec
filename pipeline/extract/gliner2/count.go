package gliner2

import "context"

// gates says which rows of a batch the model gives entities, by the number of them that it expects: where that is 0 GLiNER2's _extract_span_result gives none. Without count_pred
// in the model's folder, and in the mode onnx, all rows have some.
//
// The number decides nothing else: gliner2 scores as many structures as it says, and reads entities off the first, which does not depend on it.
func (m *Model) gates(ctx context.Context, h hidden, rows int, p prompt) ([]bool, error) {
	open := make([]bool, rows)
	if m.countPred == nil || m.options.Mode != Native {
		for r := range open {
			open[r] = true
		}
		return open, nil
	}
	logits, err := m.countPred.values(ctx, []input{floats(h.gather(rows, p.task), rows, h.dim)})
	if err == nil {
		err = finite(m.countPred, logits)
	}
	if err != nil {
		return nil, err
	}
	counts := len(logits) / rows
	for r := range open {
		row := logits[r*counts : (r+1)*counts]
		for _, v := range row[1:] {
			open[r] = open[r] || v > row[0]
		}
	}
	return open, nil
}
