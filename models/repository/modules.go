package repository

import (
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"jobstrom/models"
)

// recipe is what modules.json and the folders that it names say: how token vectors become a text's vector.
type recipe struct {
	pooling   string
	dim       int // that the pooling takes; 0 where it is not said
	dense     []models.Dense
	normalize bool
	notes     []string
}

// poolings are the names of sentence-transformers' ways of pooling.
var poolings = map[string]string{
	"mean": models.PoolingMean, "cls": models.PoolingCLS, "max": models.PoolingMax, "lasttoken": models.PoolingLastToken, "weightedmean": models.PoolingWeightedMean,
}

// activations are the classes of PyTorch that a dense layer may name.
var activations = map[string]string{
	"Identity": models.ActivationIdentity, "Tanh": models.ActivationTanh, "ReLU": models.ActivationReLU, "Sigmoid": models.ActivationSigmoid, "GELU": models.ActivationGELU,
}

const maxModules = 16

// class returns a class's name without its package, which has moved between versions; empty where the class is of another library.
func class(library, name string) string {
	if !strings.HasPrefix(name, library+".") {
		return ""
	}
	return name[strings.LastIndexByte(name, '.')+1:]
}

// readModules reads modules.json. Without one sentence-transformers takes the mean of the token vectors, and so does this.
func readModules(f folder) (recipe, error) {
	var modules []struct{ Type, Path string }
	there, err := f.json("modules.json", maxConfig, &modules)
	if err != nil {
		return recipe{}, err
	}
	if !there {
		return recipe{pooling: models.PoolingMean, notes: []string{"there is no modules.json: mean pooling without normalisation, as sentence-transformers does then"}}, nil
	}
	if len(modules) == 0 || len(modules) > maxModules {
		return recipe{}, fmt.Errorf("reading modules.json: it names %d modules, must be 1 to %d", len(modules), maxModules)
	}
	var r recipe
	for i, m := range modules {
		refuse := func(why string) error {
			return fmt.Errorf("reading modules.json: module %d is of type %.80q, %s", i, m.Type, why)
		}
		if m.Path != "" && !fs.ValidPath(m.Path) {
			return recipe{}, fmt.Errorf("reading modules.json: module %d has the path %.80q, must be a folder of the repository", i, m.Path)
		}
		kind := class("sentence_transformers", m.Type)
		switch {
		case kind == "Transformer" && i == 0:
			if m.Path != "" && m.Path != "." {
				return recipe{}, fmt.Errorf("reading modules.json: the transformer lies in %.80q; move that folder's files to the top", m.Path)
			}
		case kind == "Transformer":
			return recipe{}, refuse("which must be the first")
		case i == 0:
			return recipe{}, refuse("must be a Transformer")
		case kind == "Pooling" && r.pooling == "":
			err = r.readPooling(f, path.Join(m.Path, "config.json"))
		case kind == "Dense" && r.pooling != "" && !r.normalize:
			err = r.readDense(f, m.Path)
		case kind == "Normalize" && r.pooling != "":
			r.normalize = true
		case kind == "Dropout": // does nothing once a model is trained
		case slices.Contains([]string{"Pooling", "Dense", "Normalize"}, kind):
			return recipe{}, refuse("which is not understood in that place: the order must be Transformer, Pooling, Dense …, Normalize")
		default:
			return recipe{}, refuse("which is not understood: Transformer, Pooling, Dense, Normalize and Dropout of sentence_transformers are; choose another encoder")
		}
		if err != nil {
			return recipe{}, err
		}
	}
	if r.pooling == "" {
		return recipe{}, fmt.Errorf("reading modules.json: there is no module of type sentence_transformers.models.Pooling")
	}
	return r, nil
}

// readPooling reads a pooling's configuration in the old form, a field for each way, or in the new one, pooling_mode.
func (r *recipe) readPooling(f folder, name string) error {
	var c struct {
		Word      int   `json:"word_embedding_dimension"`
		Dim       int   `json:"embedding_dimension"`
		Prompt    *bool `json:"include_prompt"`
		Mode      any   `json:"pooling_mode"`
		CLS       bool  `json:"pooling_mode_cls_token"`
		Mean      bool  `json:"pooling_mode_mean_tokens"`
		Max       bool  `json:"pooling_mode_max_tokens"`
		MeanSqrt  bool  `json:"pooling_mode_mean_sqrt_len_tokens"`
		Weighted  bool  `json:"pooling_mode_weightedmean_tokens"`
		LastToken bool  `json:"pooling_mode_lasttoken"`
	}
	if there, err := f.json(name, maxConfig, &c); err != nil {
		return err
	} else if !there {
		return fmt.Errorf("reading %s: it is missing; fetch the whole repository", name)
	}
	if c.Prompt != nil && !*c.Prompt {
		return fmt.Errorf("reading %s: include_prompt is false; pooling without the prompt's tokens is not understood, choose another encoder", name)
	}
	var modes []string
	field := "pooling_mode"
	switch m := c.Mode.(type) {
	case string:
		modes = []string{m}
	case []any:
		for _, one := range m {
			modes = append(modes, fmt.Sprint(one))
		}
	case nil:
		field = "pooling_mode_*"
		for _, way := range []struct {
			on   bool
			name string
		}{{c.CLS, "cls"}, {c.Max, "max"}, {c.Mean, "mean"}, {c.MeanSqrt, "mean_sqrt_len_tokens"}, {c.Weighted, "weightedmean"}, {c.LastToken, "lasttoken"}} {
			if way.on {
				modes = append(modes, way.name)
			}
		}
	default:
		return fmt.Errorf("reading %s: pooling_mode must be a text", name)
	}
	if len(modes) != 1 {
		return fmt.Errorf("reading %s: %s says %.80q, must be one way of pooling; choose another encoder", name, field, modes)
	}
	if r.pooling = poolings[modes[0]]; r.pooling == "" {
		return fmt.Errorf("reading %s: %s is %.80q, must be mean, cls, max, lasttoken or weightedmean; choose another encoder", name, field, modes[0])
	}
	r.dim = max(c.Word, c.Dim)
	return nil
}

// readDense reads a dense layer's configuration and hashes its weights.
func (r *recipe) readDense(f folder, dir string) error {
	name := path.Join(dir, "config.json")
	c := struct {
		In         int    `json:"in_features"`
		Out        int    `json:"out_features"`
		Bias       bool   `json:"bias"`
		Activation string `json:"activation_function"`
		Residual   bool   `json:"use_residual"`
		From       string `json:"module_input_name"`
		To         string `json:"module_output_name"`
	}{Bias: true, Activation: "torch.nn.modules.activation.Tanh"} // sentence-transformers' defaults
	if there, err := f.json(name, maxConfig, &c); err != nil {
		return err
	} else if !there {
		return fmt.Errorf("reading %s: it is missing; fetch the whole repository", name)
	}
	d := models.Dense{In: c.In, Out: c.Out, Bias: c.Bias, Activation: activations[class("torch.nn", c.Activation)]}
	if d.Activation == "" {
		return fmt.Errorf("reading %s: activation_function is %.80q; Identity, Tanh, ReLU, Sigmoid and GELU of torch.nn are understood, choose another encoder", name, c.Activation)
	}
	if c.Residual {
		return fmt.Errorf("reading %s: use_residual is true, which is not understood; choose another encoder", name)
	}
	for field, v := range map[string]string{"module_input_name": c.From, "module_output_name": c.To} {
		if v != "" && v != "sentence_embedding" {
			return fmt.Errorf("reading %s: %s is %.80q, must be \"sentence_embedding\"; choose another encoder", name, field, v)
		}
	}
	weights := path.Join(dir, "model.safetensors")
	if !f.exists(weights) {
		return fmt.Errorf("reading %s: it is missing; a pytorch_model.bin is not read, save the repository again with sentence-transformers' save (safe_serialization=True)", weights)
	}
	sum, err := models.HashFile(f.path(weights))
	if err != nil {
		return err
	}
	d.File = models.File{Name: weights, SHA256: sum}
	if _, _, err := d.Read(f.path(weights)); err != nil {
		return err
	}
	r.dense = append(r.dense, d)
	return nil
}
