#include <algorithm>

#include "kernels/layer_bench.hpp"
#include "kernels/permute_reference.hpp"

namespace railcast::kernels::layer {
namespace {

/// Distinct experts for each token; some choices elsewhere (-1), some experts favoured.
std::vector<int> some_choices(Random& random, std::int64_t tokens, std::int64_t experts, int top_k, bool all_here) {
  std::vector<int> chosen;
  const std::int64_t favoured = between(random, 1, experts);
  for (std::int64_t t = 0; t < tokens; ++t) {
    std::vector<int> mine;
    while (static_cast<int>(mine.size()) < top_k) {
      int e = static_cast<int>(between(random, 0, (between(random, 0, 2) == 0 ? experts : favoured) - 1));
      if (!all_here && between(random, 0, 3) == 0) e = -1;
      mine.push_back(e);
    }
    chosen.insert(chosen.end(), mine.begin(), mine.end());
  }
  return chosen;
}

struct DeviceMap {
  Array<int> chosen, row_of, choice_of, block_group, offsets, scratch;
  PermuteMapArgs args;
  DeviceMap(const std::vector<int>& choices, std::int64_t tokens, std::int64_t experts, int top_k)
      : DeviceMap(choices, tokens, experts, top_k, most_rows(tokens, top_k, experts)) {}
  DeviceMap(const std::vector<int>& choices, std::int64_t tokens, std::int64_t experts, int top_k, std::int64_t rows)
      : chosen(choices),
        row_of(choices.size()),
        choice_of(static_cast<std::size_t>(rows)),
        block_group(choice_of.size() / 128),
        offsets(static_cast<std::size_t>(experts) + 1),
        scratch(static_cast<std::size_t>(map_scratch(tokens, top_k, experts))),
        args{.tokens = tokens,
             .experts = experts,
             .top_k = top_k,
             .chosen = chosen,
             .rows = rows,
             .row_of = row_of,
             .choice_of = choice_of,
             .block_group = block_group,
             .offsets = offsets,
             .scratch = scratch} {}
};

void compare_maps(Outcome& out, const DeviceMap& map, const reference::PermuteMap& expected) {
  compare_bits(out, "row_of", map.row_of.host(), expected.row_of);
  compare_bits(out, "choice_of", map.choice_of.host(), expected.choice_of);
  compare_bits(out, "block_group", map.block_group.host(), expected.block_group);
  compare_bits(out, "offsets", map.offsets.host(), expected.offsets);
}

/// The choices as they lie in a window: further apart, counted over all ranks, and anything behind those in use.
struct InNotes {
  std::int64_t first, stride;
  Array<int> experts, used;
  InNotes(Random& random, const std::vector<int>& chosen, int top_k, std::int64_t here, std::size_t tokens)
      : first(between(random, 0, 20)),
        stride(top_k + between(random, 0, 9)),
        experts(notes(random, chosen, top_k, here)),
        used(std::vector<int>{static_cast<int>(tokens)}) {}

 private:
  std::vector<int> notes(Random& random, const std::vector<int>& chosen, int top_k, std::int64_t here) const {
    std::vector<int> all(chosen.size() / static_cast<std::size_t>(top_k) * static_cast<std::size_t>(stride), 1);
    for (std::size_t i = 0; i < chosen.size(); ++i) {
      const auto k = i % static_cast<std::size_t>(top_k), token = i / static_cast<std::size_t>(top_k);
      const std::int64_t elsewhere = between(random, 0, 1) == 0 ? between(random, -1, first - 1) : first + here;
      all[token * static_cast<std::size_t>(stride) + k] =
          static_cast<int>(chosen[i] >= 0 ? first + chosen[i] : elsewhere);
    }
    return all;
  }
};

Outcome check(Random& random) {
  const std::int64_t tokens = between(random, 1, 900), experts = between(random, 1, 300);
  const int top_k = static_cast<int>(between(random, 1, 8));
  std::vector<int> chosen = some_choices(random, tokens, experts, top_k, between(random, 0, 1) == 1);
  DeviceMap map(chosen, tokens, experts, top_k);
  PermuteMapArgs host = map.args;
  const bool received = between(random, 0, 1) == 1;  // in a window: notes of all ranks' experts, not all in use
  const auto used = static_cast<std::size_t>(received ? between(random, 0, tokens) : tokens);
  const InNotes notes(random, chosen, top_k, experts, used);
  if (received) {
    map.args.chosen = notes.experts, map.args.chosen_stride = notes.stride, map.args.first_expert = notes.first;
    map.args.used = notes.used;
    std::fill(chosen.begin() + static_cast<std::ptrdiff_t>(used) * top_k, chosen.end(), -1);
  }
  permute_map(map.args, {});
  host.chosen = chosen.data();
  const reference::PermuteMap expected = reference::permute_map(host);
  Outcome out;
  compare_maps(out, map, expected);
  if (!out.ok) return out;

  PermuteArgs a{.tokens = tokens,
                .rows = host.rows,
                .row_bytes = 16 * between(random, 1, 30),
                .top_k = top_k,
                .groups = between(random, 0, 40),
                .scale_stride = host.rows};
  const bool by_token = between(random, 0, 1) == 1;  // the scales' layout
  a.token_stride = by_token ? a.groups : 1, a.group_stride = by_token ? 1 : tokens;
  std::vector<std::uint8_t> x(static_cast<std::size_t>(tokens * a.row_bytes));
  for (auto& byte : x) byte = static_cast<std::uint8_t>(random());
  const std::vector<float> scales = normal(random, static_cast<std::size_t>(tokens * a.groups));
  std::vector<std::uint8_t> rows(static_cast<std::size_t>(a.rows * a.row_bytes), 0xA5);
  std::vector<float> scale_rows(static_cast<std::size_t>(a.groups * a.rows));
  Array<std::uint8_t> d_x(x), d_rows(rows);
  Array<float> d_scales(scales), d_scale_rows(scale_rows);
  a.x = d_x, a.out = d_rows, a.scales = d_scales, a.scales_out = d_scale_rows;
  a.row_of = map.row_of, a.choice_of = map.choice_of, a.end = map.offsets + experts;
  a.used = map.args.used;
  permute(a, {});
  a.x = x.data(), a.out = rows.data(), a.scales = scales.data(), a.scales_out = scale_rows.data();
  a.row_of = expected.row_of.data(), a.choice_of = expected.choice_of.data(), a.end = expected.offsets.data() + experts;
  reference::permute(a);
  compare_bits(out, "rows", d_rows.host(), rows), compare_bits(out, "scales", d_scale_rows.host(), scale_rows);
  return out;
}

/// Every choice here, as many of each expert: no padding where that is a multiple of 128.
std::vector<int> even_choices(std::int64_t tokens, std::int64_t experts) {
  std::vector<int> chosen;
  for (std::int64_t t = 0; t < tokens; ++t)
    for (int k = 0; k < 8; ++k) chosen.push_back(static_cast<int>((t * 7 + k * (experts / 8)) % experts));
  return chosen;
}
/// What a rank gets: `rows` choices dealt to its experts in turn, the others elsewhere.
std::vector<int> received_choices(std::int64_t tokens, std::int64_t experts, std::int64_t rows) {
  std::vector<int> chosen(static_cast<std::size_t>(tokens * 8), -1);
  for (std::int64_t i = 0; i < rows; ++i)
    chosen[static_cast<std::size_t>(i % tokens * 8 + i / tokens)] = static_cast<int>(i % experts);
  return chosen;
}

/// 64 rows, the first and the last among them.
void check_part(Outcome& out, const PermuteArgs& a) {
  const std::vector<int> choice_of = read(a.choice_of, a.rows);
  const std::int64_t end = read(a.end, 1).at(0);
  const auto* x = static_cast<const std::uint8_t*>(a.x);
  const auto* rows = static_cast<const std::uint8_t*>(a.out);
  for (std::int64_t i = 0; i < 64 && end > 0; ++i) {
    const std::int64_t row = i * (end - 1) / 63, choice = choice_of[static_cast<std::size_t>(row)];
    const std::int64_t token = choice / a.top_k;
    const std::string name = "row " + std::to_string(row);
    compare_bits(out, name, read(rows + row * a.row_bytes, a.row_bytes),
                 choice < 0 ? std::vector<std::uint8_t>(static_cast<std::size_t>(a.row_bytes))
                            : read(x + token * a.row_bytes, a.row_bytes));
    if (a.groups == 0) continue;
    compare_bits(out, name + ", scales", read_columns(a.scales_out + row, a.groups, a.scale_stride, 1),
                 choice < 0 ? std::vector<float>(static_cast<std::size_t>(a.groups))
                            : read_columns(a.scales + token * a.token_stride, a.groups, a.group_stride, 1));
  }
}
/// All of it.
void check_part(Outcome& out, const PermuteMapArgs& a, const DeviceMap& map) {
  const std::vector<int> chosen = map.chosen.host();
  PermuteMapArgs host = a;
  host.chosen = chosen.data();
  compare_maps(out, map, reference::permute_map(host));
}

void rows_of(const std::vector<int>& chosen, std::int64_t experts, std::int64_t rows, bool fp8, Layer& layer) {
  const int top_k = 8;
  const std::int64_t cols = 7168, tokens = static_cast<std::int64_t>(chosen.size()) / top_k;
  DeviceMap map(chosen, tokens, experts, top_k, rows);
  permute_map(map.args, {});
  const std::int64_t used = map.offsets.host().back();
  const std::int64_t row_bytes = fp8 ? cols : 2 * cols, groups = fp8 ? cols / 128 : 0;
  Array<std::uint8_t> x(static_cast<std::size_t>(tokens * row_bytes)), out(static_cast<std::size_t>(rows * row_bytes));
  Array<float> scales(static_cast<std::size_t>(tokens * groups)), scale_rows(static_cast<std::size_t>(rows * groups));
  fill_bf16(x, x.size() / 2, 1.0F, 1, nullptr), fill_uniform(scales, scales.size(), 0.005F, 0.02F, 2, nullptr);
  const PermuteArgs a{.tokens = tokens,
                      .rows = rows,
                      .row_bytes = row_bytes,
                      .top_k = top_k,
                      .x = x,
                      .out = out,
                      .row_of = map.row_of,
                      .choice_of = map.choice_of,
                      .end = map.offsets + experts,
                      .groups = groups,
                      .scales = scales,
                      .token_stride = groups,
                      .group_stride = 1,
                      .scales_out = scale_rows,
                      .scale_stride = rows};
  const double bytes = static_cast<double>(tokens + used) * static_cast<double>(row_bytes + 4 * groups);
  const Fields shape = fields({"tokens", "rows", "cols"}, {tokens, used, cols});
  const bool writes = used >= 8 * tokens;  // else reading takes as long, and a rate written asks too much
  layer.time({.shape = shape,
              .dtype = fp8 ? "fp8_block" : "bf16",
              .out_dtype = fp8 ? "fp8_block" : "bf16",
              .bytes = bytes,
              .run = [=](int, cudaStream_t stream) { permute(a, {.stream = stream}); },
              .must_us = writes ? static_cast<double>(used * row_bytes) / 1.7e6 : 0,
              .part = [=](Outcome& o, const auto& run) { run(), check_part(o, a); }});
  if (!fp8) return;
  const PermuteMapArgs m = map.args;
  layer.time({.shape = shape,
              .dtype = "fp8_block",
              .out_dtype = "int32",
              .impl = "railcast_map",
              .bytes = static_cast<double>(tokens * top_k * 8 + rows * 4),
              .run = [=](int, cudaStream_t stream) { permute_map(m, {.stream = stream}); },
              .part = [m, &map](Outcome& o, const auto& run) { run(), check_part(o, m, map); }});
}

}  // namespace
}  // namespace railcast::kernels::layer

namespace railcast::kernels {

void permute_suite(Bench& bench) {
  using namespace layer;
  Layer layer(bench, "permute");
  layer.check("map and rows", layer::check);
  if (!layer.timing()) return;
  for (const bool fp8 : {true, false}) rows_of(even_choices(8192, 256), 256, 65536, fp8, layer);  // as the peers
  rows_of(even_choices(4096, 8), 8, 32768, true, layer);
  rows_of(received_choices(35370, 4, 36864), 4, 36864, true, layer);  // DeepSeek-V3 at expert-parallel 64
}

}  // namespace railcast::kernels
