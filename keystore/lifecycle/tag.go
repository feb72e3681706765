package lifecycle

import (
	"context"
	"slices"
	"strings"

	"github.com/strongroom/strongroom/keystore"
	"github.com/strongroom/strongroom/keystore/access"
)

// The lengths of tags in characters (API reference, Tag); the front door words their violation.
const (
	maxTagKey   = 128
	maxTagValue = 256
)

// checkTags holds tags of a request against the rules (recorded texts, api-errors.md section 6) and gives them in order.
func (s *Service) checkTags(tags []keystore.Tag) ([]keystore.Tag, error) {
	if len(tags) == 0 {
		return nil, nil
	}
	sorted := slices.Clone(tags)
	slices.SortStableFunc(sorted, func(a, b keystore.Tag) int { return strings.Compare(a.Key, b.Key) })
	for i, t := range sorted {
		switch {
		case t.Key == "" || len([]rune(t.Key)) > maxTagKey:
			return nil, invalid(t.Key, "tags", "Member must have length between 1 and 128")
		case len([]rune(t.Value)) > maxTagValue:
			return nil, invalid(t.Value, "tags", "Member must have length less than or equal to 256")
		case reservedTag(t.Key):
			return nil, keystore.Faultf(keystore.KindTag, "Tags beginning with aws: are reserved")
		case i > 0 && sorted[i-1].Key == t.Key:
			return nil, keystore.Faultf(keystore.KindTag, "Duplicate tag keys")
		}
	}
	return sorted, s.countTags(len(sorted))
}

func (s *Service) countTags(n int) error {
	if n > s.cfg.Limits.Tags {
		return keystore.Faultf(keystore.KindTag, "Too many tags")
	}
	return nil
}

func reservedTag(key string) bool { return len(key) >= 4 && strings.EqualFold(key[:4], "aws:") }

// tagConditions adds the condition keys of tags in a request.
func tagConditions(m map[string][]string, tags []keystore.Tag) {
	for _, t := range tags {
		m["aws:RequestTag/"+t.Key] = []string{t.Value}
		m["aws:TagKeys"] = append(m["aws:TagKeys"], t.Key)
	}
}

// TagResource adds tags to a key, or replaces their values.
func (s *Service) TagResource(ctx context.Context, c *keystore.Caller, keyID string, tags []keystore.Tag) error {
	const a = keystore.ActionTagResource
	added, err := s.checkTags(tags)
	if err != nil {
		return err
	}
	conditions := map[string][]string{}
	tagConditions(conditions, added)
	k, err := s.findTagged(ctx, c, keyID, a, conditions)
	if err != nil {
		return err
	}
	_, err = s.change(ctx, k, a, func(_ keystore.Tx, k *keystore.Key) error {
		for _, t := range added {
			i, found := slices.BinarySearchFunc(k.Tags, t.Key, compareTag)
			if found {
				k.Tags[i].Value = t.Value
			} else {
				k.Tags = slices.Insert(k.Tags, i, t)
			}
		}
		return s.countTags(len(k.Tags))
	})
	return err
}

func compareTag(t keystore.Tag, key string) int { return strings.Compare(t.Key, key) }

// UntagResource removes tags from a key; those that it does not have are passed over.
func (s *Service) UntagResource(ctx context.Context, c *keystore.Caller, keyID string, keys []string) error {
	const a = keystore.ActionUntagResource
	if slices.ContainsFunc(keys, reservedTag) {
		return keystore.Faultf(keystore.KindTag, "Tags beginning with aws: are reserved")
	}
	k, err := s.findTagged(ctx, c, keyID, a, map[string][]string{"aws:TagKeys": keys})
	if err != nil {
		return err
	}
	_, err = s.change(ctx, k, a, func(_ keystore.Tx, k *keystore.Key) error {
		before := len(k.Tags)
		k.Tags = slices.DeleteFunc(k.Tags, func(t keystore.Tag) bool { return slices.Contains(keys, t.Key) })
		if len(k.Tags) == before {
			return errUnchanged
		}
		return nil
	})
	return err
}

func (s *Service) findTagged(ctx context.Context, c *keystore.Caller, keyID string, a keystore.Action, conditions map[string][]string) (*keystore.Key, error) {
	k, err := keystore.ResolveKey(ctx, s.cfg.DB, c, keyID, keystore.RefKeyOnly)
	if err != nil {
		return nil, err
	}
	return k, s.admit(ctx, &access.Request{Caller: c, Action: a, Key: k, Conditions: conditions})
}

// ListResourceTags lists a key's tags in the order of their keys.
func (s *Service) ListResourceTags(ctx context.Context, c *keystore.Caller, keyID string, p keystore.Page) ([]keystore.Tag, string, error) {
	k, err := s.find(ctx, c, keyID, keystore.RefKeyOnly, keystore.ActionListResourceTags)
	if err != nil {
		return nil, "", err
	}
	list := "tags/" + string(k.ID)
	after, err := p.After(list)
	if err != nil {
		return nil, "", err
	}
	i, found := slices.BinarySearchFunc(k.Tags, after, compareTag)
	if found {
		i++
	}
	tags, next := cut(list, slices.Clone(k.Tags[i:]), limitOf(p, pageTags), func(t keystore.Tag) string { return t.Key })
	return tags, next, nil
}
