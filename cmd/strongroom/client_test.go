package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"reflect"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/smithy-go"

	"github.com/strongroom/strongroom/api/apitest"
)

// kmsMain is the command kms of the scenarios: one call with AWS's Go SDK.
//
//	kms OPERATION ['{"Member": "value"}']
//
// It prints the answer as JSON. An exception goes to standard error as "Exception: message", with exit code 1. Endpoint,
// credential and Region come from the environment, as the SDK reads them; -region before the operation names another.
func kmsMain() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	out, err := kmsCall(ctx, os.Args[1:])
	if err != nil {
		var api smithy.APIError
		if errors.As(err, &api) {
			err = fmt.Errorf("%s: %s", api.ErrorCode(), api.ErrorMessage())
		}
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println(string(out))
}

func kmsCall(ctx context.Context, args []string) ([]byte, error) {
	var options []func(*config.LoadOptions) error
	if len(args) > 1 && args[0] == "-region" {
		options, args = append(options, config.WithRegion(args[1])), args[2:]
	}
	if len(args) < 1 || len(args) > 2 {
		return nil, errors.New("usage: kms [-region REGION] OPERATION ['{...}']")
	}
	cfg, err := config.LoadDefaultConfig(ctx, append(options, config.WithRetryer(func() aws.Retryer { return aws.NopRetryer{} }))...)
	if err != nil {
		return nil, err
	}
	return callByName(ctx, kms.NewFromConfig(cfg, apitest.SendWhole), args[0], strings.Join(args[1:], ""))
}

// callByName calls an operation of the client with input in JSON, and gives the output in JSON.
func callByName(ctx context.Context, client *kms.Client, op, input string) ([]byte, error) {
	method := reflect.ValueOf(client).MethodByName(op)
	if !method.IsValid() {
		return nil, fmt.Errorf("the SDK has no operation %s", op)
	}
	in := reflect.New(method.Type().In(1).Elem())
	if input != "" {
		dec := json.NewDecoder(strings.NewReader(input))
		dec.DisallowUnknownFields()
		if err := dec.Decode(in.Interface()); err != nil {
			return nil, fmt.Errorf("input of %s: %w", op, err)
		}
	}
	results := method.Call([]reflect.Value{reflect.ValueOf(ctx), in})
	if err, _ := results[1].Interface().(error); err != nil {
		return nil, err
	}
	out, err := json.Marshal(results[0].Interface())
	if err != nil {
		return nil, err
	}
	// What the SDK adds is no part of the answer, and empty members are left out as on the wire.
	var members map[string]any
	if err := json.Unmarshal(out, &members); err != nil {
		return nil, err
	}
	delete(members, "ResultMetadata")
	return json.MarshalIndent(withoutNulls(members), "", "  ")
}

func withoutNulls(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for k, e := range v {
			if e == nil || e == "" {
				delete(v, k)
				continue
			}
			v[k] = withoutNulls(e)
		}
	case []any:
		for i := range v {
			v[i] = withoutNulls(v[i])
		}
	}
	return v
}
