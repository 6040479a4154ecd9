package rpc

import (
	"fmt"
	"reflect"
	"slices"
	"sync"
)

// Tags minimum and maximum of a struct's field bound the numbers in it, also those in a list or a
// map: they stand in the schema, and what arrives is held to them. JavaScript's numbers hold
// integers up to 2^53-1, so a 64-bit field that a browser shall read says
//
//	Size int64 `json:"size" minimum:"0" maximum:"9007199254740991"`
//
// In a member that may be left out, zero is as if it were.

// An interval is what the tags leave of a number's range.
type interval struct {
	low, high reflect.Value // of the number's type; invalid where nothing is said
}

// intervalOf reads the tags of a field; nil if there are none. Tags that make no sense are a
// mistake in the program, so it panics.
func intervalOf(f reflect.StructField) *interval {
	low, hasLow := f.Tag.Lookup("minimum")
	high, hasHigh := f.Tag.Lookup("maximum")
	if !hasLow && !hasHigh {
		return nil
	}
	t := f.Type
	for n := 0; n < maxDepth && isContainer(t) && !isBytes(t) && !marshalsItself(t); n++ {
		t = t.Elem()
	}
	_, options := cutTag(f.Tag.Get("json"))
	if !isNumber(t) || marshalsItself(t) || describesItself(t) || hasOption(options, "string") {
		panic(fmt.Sprintf("rpc: field %s %s: tags minimum and maximum are for numbers", f.Name, f.Type))
	}
	read := func(text string, has bool) reflect.Value {
		if !has {
			return reflect.Value{}
		}
		v := reflect.New(t)
		if err := unmarshal([]byte(text), v.Interface()); err != nil {
			panic(fmt.Sprintf("rpc: field %s %s: tag minimum or maximum: %v", f.Name, f.Type, err))
		}
		return v.Elem()
	}
	return &interval{read(low, hasLow), read(high, hasHigh)}
}

// schema narrows the schema of a number.
func (i *interval) schema(t reflect.Type) object {
	o := number(t)
	for _, bound := range []property{{"minimum", i.low}, {"maximum", i.high}} {
		v := bound.value.(reflect.Value)
		if !v.IsValid() {
			continue
		}
		bound.value = plainNumber(v)
		if at := slices.IndexFunc(o, func(p property) bool { return p.name == bound.name }); at >= 0 {
			o[at] = bound
		} else {
			o = append(o, bound)
		}
	}
	return o
}

// plainNumber takes a number out of its named type, which might be written in another way.
func plainNumber(v reflect.Value) any {
	switch {
	case v.CanInt():
		return v.Int()
	case v.CanUint():
		return v.Uint()
	}
	return v.Float()
}

// check tells whether the numbers in a value are within.
func (i *interval) check(v reflect.Value) error {
	if isContainer(v.Type()) {
		return each(v, i.check)
	}
	if i.low.IsValid() && less(v, i.low) {
		return fmt.Errorf("%v is less than %v", plainNumber(v), plainNumber(i.low))
	}
	if i.high.IsValid() && less(i.high, v) {
		return fmt.Errorf("%v is more than %v", plainNumber(v), plainNumber(i.high))
	}
	return nil
}

// less compares two numbers of one type.
func less(a, b reflect.Value) bool {
	switch {
	case a.CanInt():
		return a.Int() < b.Int()
	case a.CanUint():
		return a.Uint() < b.Uint()
	}
	return a.Float() < b.Float()
}

func isContainer(t reflect.Type) bool {
	switch t.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Array, reflect.Map:
		return true
	}
	return false
}

// each does something with what a pointer, list or map holds.
func each(v reflect.Value, do func(reflect.Value) error) error {
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			return do(v.Elem())
		}
	case reflect.Map:
		for _, value := range v.Seq2() {
			if err := do(value); err != nil {
				return err
			}
		}
	default:
		for i := range v.Len() {
			if err := do(v.Index(i)); err != nil {
				return err
			}
		}
	}
	return nil
}

// intervals are the tagged fields of a type, found once: nil if there are none in it or beneath.
type intervals struct {
	fields []boundField // of a struct
}

type boundField struct {
	jsonField
	interval *interval // nil: tags stand further down
}

var intervalsOfType sync.Map // reflect.Type -> *intervals

func intervalsOf(t reflect.Type) *intervals {
	if !isContainer(t) && t.Kind() != reflect.Struct {
		return nil
	}
	if known, ok := intervalsOfType.Load(t); ok {
		return known.(*intervals)
	}
	var found *intervals
	if tagged(t, map[reflect.Type]bool{}) {
		found = &intervals{}
		if t.Kind() == reflect.Struct {
			for _, f := range allMembers(t) {
				i := intervalOf(f.StructField)
				if i != nil || tagged(f.Type, map[reflect.Type]bool{}) {
					found.fields = append(found.fields, boundField{f, i})
				}
			}
		}
	}
	known, _ := intervalsOfType.LoadOrStore(t, found)
	return known.(*intervals)
}

// allMembers are the members of a struct with what takes all others, as a last one.
func allMembers(t reflect.Type) []jsonField {
	fields, rest := jsonFields(t)
	if rest != nil {
		fields = append(fields, *rest)
	}
	return fields
}

// tagged tells whether there is a tagged field in a type or beneath it.
func tagged(t reflect.Type, seen map[reflect.Type]bool) bool {
	if seen[t] || marshalsItself(t) {
		return false
	}
	seen[t] = true
	if isContainer(t) {
		return tagged(t.Elem(), seen)
	}
	if t.Kind() != reflect.Struct {
		return false
	}
	return slices.ContainsFunc(allMembers(t), func(f jsonField) bool {
		return intervalOf(f.StructField) != nil || tagged(f.Type, seen)
	})
}

// checkIntervals holds a value that arrived to the tags of its type.
func checkIntervals(v reflect.Value) error {
	known := intervalsOf(v.Type())
	switch {
	case known == nil:
		return nil
	case v.Kind() != reflect.Struct:
		return each(v, checkIntervals)
	}
	for _, f := range known.fields {
		value, err := v.FieldByIndexErr(f.index)
		if err != nil || f.optional && value.IsZero() {
			continue // behind a pointer that is nil, or left out
		}
		if f.interval != nil {
			err = f.interval.check(value)
		} else {
			err = checkIntervals(value)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", f.name, err)
		}
	}
	return nil
}
