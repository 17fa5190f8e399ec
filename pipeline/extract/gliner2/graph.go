package gliner2

import (
	"context"
	"errors"
	"fmt"

	ort "github.com/yalue/onnxruntime_go"
)

// graph is one of the model's graphs, loaded.
type graph struct {
	name    string // of its file, or what it was made of
	session *ort.DynamicAdvancedSession
}

// input makes a tensor of numbers, in their memory.
type input func() (ort.Value, error)

func wholes(values []int64, shape ort.Shape) input {
	return func() (ort.Value, error) { return ort.NewTensor(shape, values) }
}

func floats(values []float32, dims ...int) input {
	shape := make(ort.Shape, len(dims))
	for i, d := range dims {
		shape[i] = int64(d)
	}
	return func() (ort.Value, error) { return ort.NewTensor(shape, values) }
}

// run runs the graph and calls with its output, which must have these dimensions, nil for any, and is gone afterwards. When the context ends, the run does.
func (g *graph) run(ctx context.Context, inputs []input, dims []int, call func([]float32) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	output, err := g.output(ctx, inputs, dims)
	if err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return fmt.Errorf("running %s: %w", g.name, err)
	}
	defer output.Destroy()
	return call(output.GetData())
}

// output runs the graph and returns what it gives.
func (g *graph) output(ctx context.Context, inputs []input, dims []int) (*ort.Tensor[float32], error) {
	values := make([]ort.Value, 0, len(inputs))
	for _, in := range inputs {
		v, err := in()
		if err != nil {
			return nil, err
		}
		defer v.Destroy()
		values = append(values, v)
	}
	options, err := ort.NewRunOptions()
	if err != nil {
		return nil, err
	}
	defer options.Destroy()
	ended := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(ended)
		_ = options.Terminate() // a run that goes on ends by itself
	})
	outputs := []ort.Value{nil}
	err = g.session.RunWithOptions(values, outputs, options)
	if !stop() {
		<-ended // options are not freed under it
	}
	if err != nil {
		return nil, err
	}
	output, ok := outputs[0].(*ort.Tensor[float32])
	fits := ok
	if ok && dims != nil {
		size := 1
		for _, d := range dims {
			size *= d
		}
		fits = len(output.GetData()) == size
	}
	if !fits {
		err := fmt.Errorf("its output has the shape %v, must have %v: the files are not of one model, fetch or export them again", outputs[0].GetShape(), dims)
		return nil, errors.Join(err, outputs[0].Destroy())
	}
	return output, nil
}

// values is run with a copy of the output.
func (g *graph) values(ctx context.Context, inputs []input, dims ...int) (out []float32, err error) {
	err = g.run(ctx, inputs, dims, func(values []float32) error {
		out = append([]float32(nil), values...)
		return nil
	})
	return out, err
}

func (g *graph) free() error {
	if g == nil || g.session == nil {
		return nil
	}
	return g.session.Destroy()
}

// errShape is wrapped where a graph is not of the shape that is known.
var errShape = errors.New("the graph has another shape than the one that is known")
