// Slots sorted by expert, a counting sort: the experts that have work, and whose work it is.
#pragma once
#include <vector>
#include "problem.h"

namespace moe {

struct Grouping {
  std::vector<Group> groups;
  std::vector<int32_t> token;
  std::vector<float> weight;
  int64_t tiled = 0;  // rows in tiles
};

// The first id that is neither -1 nor an expert's is put into `wrong`; then nothing is sorted.
template <class Id>
bool sort_slots(const Id* ids, const float* weights, int64_t tokens, int64_t k, int64_t experts,
                Grouping& sorted, int64_t& wrong) {
  std::vector<int64_t> at(experts + 1, 0);
  for (int64_t i = 0; i < tokens * k; ++i) {
    const int64_t id = ids[i];
    if (id < -1 || id >= experts) return wrong = id, false;
    if (id >= 0) ++at[id + 1];
  }
  for (int64_t e = 0; e < experts; ++e) {
    if (at[e + 1]) sorted.groups.push_back({e, at[e], at[e + 1], sorted.tiled});
    sorted.tiled += tiled_rows(at[e + 1]);
    at[e + 1] += at[e];
  }
  sorted.token.resize(at[experts]);
  sorted.weight.resize(at[experts]);
  for (int64_t i = 0; i < tokens * k; ++i) {
    if (ids[i] < 0) continue;
    const int64_t slot = at[ids[i]]++;
    sorted.token[slot] = int32_t(i / k);
    sorted.weight[slot] = weights[i];
  }
  return true;
}

}  // namespace moe
