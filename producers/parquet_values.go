package producers

import (
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"math/big"
	"strconv"
	"time"

	"github.com/google/uuid"
	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/format"
)

// errValue is wrapped for a value that is none of its type's.
var errValue = errors.New("not a value of its type")

// textOf returns how a column's values are written as text: times as RFC 3339 in UTC, dates as 2006-01-02, whole numbers without decimals, null and NaN as
// nothing. The types are those of the Parquet format's LogicalTypes.md.
func textOf(c *parquet.Column) (func(parquet.Value) (string, error), error) {
	if !c.Leaf() || c.MaxRepetitionLevel() > 0 {
		return nil, errors.New("it is a list, a map or a group: write a column with one value a row")
	}
	text, err := textOfType(c.Type())
	if err != nil {
		return nil, err
	}
	return func(v parquet.Value) (string, error) {
		if v.IsNull() {
			return "", nil
		}
		return text(v)
	}, nil
}

func textOfType(typ parquet.Type) (func(parquet.Value) (string, error), error) {
	var logical format.LogicalTypeValue
	if l := typ.LogicalType(); l != nil {
		logical = l.Value
	}
	kind := typ.Kind()
	switch l := logical.(type) {
	case *format.DateType:
		return func(v parquet.Value) (string, error) {
			return time.Unix(int64(v.Int32())*86400, 0).UTC().Format(time.DateOnly), nil
		}, nil
	case *format.TimestampType:
		from := timestamp(l.Unit)
		return func(v parquet.Value) (string, error) { return from(v.Int64()).UTC().Format(time.RFC3339Nano), nil }, nil
	case *format.DecimalType:
		return decimal(kind, int(l.Scale))
	case *format.UUIDType:
		return func(v parquet.Value) (string, error) {
			id, err := uuid.FromBytes(v.ByteArray())
			if err != nil {
				return "", errValue
			}
			return id.String(), nil
		}, nil
	case *format.IntType:
		if !l.IsSigned {
			return func(v parquet.Value) (string, error) {
				if kind == parquet.Int32 {
					return strconv.FormatUint(uint64(v.Uint32()), 10), nil
				}
				return strconv.FormatUint(v.Uint64(), 10), nil
			}, nil
		}
	case *format.TimeType, *format.Float16Type, *format.BsonType, *format.VariantType, *format.GeometryType, *format.GeographyType:
		return nil, fmt.Errorf("its type %s says nothing of a vacancy: write it as text", typ)
	}
	switch kind {
	case parquet.Boolean:
		return func(v parquet.Value) (string, error) { return strconv.FormatBool(v.Boolean()), nil }, nil
	case parquet.Int32:
		return func(v parquet.Value) (string, error) { return strconv.Itoa(int(v.Int32())), nil }, nil
	case parquet.Int64:
		return func(v parquet.Value) (string, error) { return strconv.FormatInt(v.Int64(), 10), nil }, nil
	case parquet.Int96:
		return int96, nil
	case parquet.Float:
		return func(v parquet.Value) (string, error) { return float(float64(v.Float()), 32), nil }, nil
	case parquet.Double:
		return func(v parquet.Value) (string, error) { return float(v.Double(), 64), nil }, nil
	case parquet.ByteArray:
		return func(v parquet.Value) (string, error) { return string(v.ByteArray()), nil }, nil
	}
	return func(v parquet.Value) (string, error) { return hex.EncodeToString(v.ByteArray()), nil }, nil
}

func timestamp(unit format.TimeUnit) func(int64) time.Time {
	switch unit.Value.(type) {
	case *format.MilliSeconds:
		return time.UnixMilli
	case *format.MicroSeconds:
		return time.UnixMicro
	}
	return func(n int64) time.Time { return time.Unix(0, n) }
}

// int96 reads the times of old Spark and Hive: nanoseconds of a Julian day, whose 2,440,588th began 1970.
func int96(v parquet.Value) (string, error) {
	n := v.Int96()
	nanoseconds := int64(n[1])<<32 | int64(n[0])
	return time.Unix((int64(n[2])-2440588)*86400, nanoseconds).UTC().Format(time.RFC3339Nano), nil
}

// float writes whole numbers without decimals: pandas makes floats of the integers in a column with gaps.
func float(f float64, bits int) string {
	if math.IsNaN(f) {
		return ""
	}
	return strconv.FormatFloat(f, 'f', -1, bits)
}

func decimal(kind parquet.Kind, scale int) (func(parquet.Value) (string, error), error) {
	if scale < 0 || scale > 76 {
		return nil, fmt.Errorf("it has %d decimals", scale)
	}
	ten := new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(scale)), nil)
	return func(v parquet.Value) (string, error) {
		n := new(big.Int)
		switch kind {
		case parquet.Int32:
			n.SetInt64(int64(v.Int32()))
		case parquet.Int64:
			n.SetInt64(v.Int64())
		default: // two's complement, big-endian
			bytes := v.ByteArray()
			n.SetBytes(bytes)
			if len(bytes) > 0 && bytes[0] >= 0x80 {
				n.Sub(n, new(big.Int).Lsh(big.NewInt(1), uint(8*len(bytes))))
			}
		}
		r := new(big.Rat).SetFrac(n, ten)
		if r.IsInt() {
			return r.Num().String(), nil
		}
		return r.FloatString(scale), nil
	}, nil
}
