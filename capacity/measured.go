// Package capacity works out what a flow needs before it is built: processors, workers, partitions, disk and memory, for so many vacancies a day.
//
// It is arithmetic over figures that were measured ([Measured]), each of which can be measured again elsewhere. It promises that a plan for more never needs less, that each
// figure's formula stands at its field, and that nothing is assumed which [Demand] does not name.
package capacity

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"slices"
)

// Measured is what one machine, one encoder and one kind of vacancies cost. Times are of one processor.
type Measured struct {
	// Machine, Version and Provider say where and with what it was measured, for people.
	Machine  string `json:"machine"`
	Version  string `json:"version"`
	Provider string `json:"provider"`
	// Encoder is the encoder's name, EncoderID its identity, Dimensions the length of its vectors.
	Encoder    string `json:"encoder"`
	EncoderID  string `json:"encoder_id"`
	Dimensions int    `json:"dimensions"`
	// Vacancies says how many were measured, VacancyBytes how long their records on the raw topic are on average.
	Vacancies    int     `json:"vacancies"`
	VacancyBytes float64 `json:"vacancy_bytes"`

	// ExtractMS, EmbedMS and ClassifyMS are milliseconds of a processor that a vacancy takes, without Kafka.
	ExtractMS  float64 `json:"extract_ms"`
	EmbedMS    float64 `json:"embed_ms"`
	ClassifyMS float64 `json:"classify_ms"`
	// StageMS is what a stage takes besides: reading, writing and committing one record. SinkMS is the whole of the sink's process, ClickHouseMS that of the server for the rows of a vacancy, merges included.
	StageMS      float64 `json:"stage_ms"`
	SinkMS       float64 `json:"sink_ms"`
	ClickHouseMS float64 `json:"clickhouse_ms"`

	// RawBytes to ClassifiedBytes are what a vacancy takes of one replica's disk on each topic, compressed as the stages write it; the vectors' topic has EmbeddedBytes.
	RawBytes        float64 `json:"raw_bytes"`
	ExtractedBytes  float64 `json:"extracted_bytes"`
	EmbeddedBytes   float64 `json:"embedded_bytes"`
	ClassifiedBytes float64 `json:"classified_bytes"`
	// EmbeddingRowBytes, PredictionRowBytes and SimilarRowBytes are what a row takes of ClickHouse's disk, compressed and merged; the last with its index.
	EmbeddingRowBytes  float64 `json:"embedding_row_bytes"`
	PredictionRowBytes float64 `json:"prediction_row_bytes"`
	SimilarRowBytes    float64 `json:"similar_row_bytes"`
	// IndexRowBytes is the memory that a row takes in the index of similar vacancies.
	IndexRowBytes float64 `json:"index_row_bytes"`
}

//go:embed measured.json
var builtIn []byte

// BuiltIn returns what bench/capacity measured of the default encoder and the sample vacancies, on two processors of an AMD EPYC.
func BuiltIn() Measured {
	m, err := decode(builtIn)
	if err != nil {
		panic("capacity: measured.json, a part of the program: " + err.Error()) // a test reads it
	}
	return m
}

// Read reads a file that `jobstrom bench tune --measured` has written.
func Read(path string) (Measured, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return Measured{}, fmt.Errorf("reading what was measured: %w", err)
	}
	m, err := decode(data)
	if err != nil {
		return Measured{}, fmt.Errorf("reading what was measured from %s: %w: write it again with jobstrom bench tune --measured", path, err)
	}
	return m, nil
}

func decode(data []byte) (m Measured, err error) {
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(&m); err != nil {
		return m, err
	}
	return m, m.Validate()
}

// Write writes the file that Read reads.
func (m Measured) Write(path string) error {
	if err := m.Validate(); err != nil {
		return fmt.Errorf("writing what was measured: %w", err)
	}
	data, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return fmt.Errorf("writing what was measured: %w", err)
	}
	if err := os.WriteFile(path, append(data, '\n'), 0o644); err != nil {
		return fmt.Errorf("writing what was measured: %w", err)
	}
	return nil
}

// Validate reports every figure that no machine has.
func (m Measured) Validate() error {
	var errs []error
	figures := map[string]float64{
		"dimensions": float64(m.Dimensions), "vacancies": float64(m.Vacancies), "vacancy_bytes": m.VacancyBytes, "extract_ms": m.ExtractMS, "embed_ms": m.EmbedMS, "classify_ms": m.ClassifyMS,
		"stage_ms": m.StageMS, "sink_ms": m.SinkMS, "clickhouse_ms": m.ClickHouseMS, "raw_bytes": m.RawBytes, "extracted_bytes": m.ExtractedBytes, "embedded_bytes": m.EmbeddedBytes,
		"classified_bytes": m.ClassifiedBytes, "embedding_row_bytes": m.EmbeddingRowBytes, "prediction_row_bytes": m.PredictionRowBytes, "similar_row_bytes": m.SimilarRowBytes, "index_row_bytes": m.IndexRowBytes,
	}
	for name, value := range figures {
		if !(value > 0) || math.IsInf(value, 0) {
			errs = append(errs, fmt.Errorf("%s (%v) must be above 0", name, value))
		}
	}
	slices.SortFunc(errs, func(a, b error) int { return bytes.Compare([]byte(a.Error()), []byte(b.Error())) })
	return errors.Join(errs...)
}

// With returns the figures for vacancies of another length: what grows with the text grows in proportion, which for vectors is the time alone.
func (m Measured) With(vacancyBytes float64) Measured {
	f := vacancyBytes / m.VacancyBytes
	m.VacancyBytes = vacancyBytes
	m.ExtractMS *= f
	m.EmbedMS *= f
	m.RawBytes *= f
	m.ExtractedBytes *= f
	return m
}
