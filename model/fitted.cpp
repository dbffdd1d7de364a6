#include "model/fitted.hpp"

#include <algorithm>
#include <cmath>

namespace railcast {

double Likeness::operator()(const Values& a, const Values& b) const {
  double sum = 0;
  for (std::size_t i = 0; i < scales.size(); ++i) {
    const double x = (a[i] - b[i]) / scales[i];
    sum += x * x;
  }
  const double distance = std::sqrt(sum);
  return amplitude * amplitude * std::exp(-(power == 1 ? distance : std::pow(distance, power)));
}

const FittedFamily* Fit::find(const std::string& family, const std::string& impl, const std::string& method) const {
  const auto found = std::ranges::find_if(
      families, [&](const auto& f) { return f.family == family && f.impl == impl && f.method == method; });
  return found == families.end() ? nullptr : &*found;
}

double novelty(const std::vector<Likeness>& terms, const std::vector<Values>& anchors, const Values& at) {
  double whole = 0, nearest = 0;
  for (const Likeness& t : terms) whole += t.amplitude * t.amplitude;
  for (const Values& a : anchors) {
    double like = 0;
    for (const Likeness& t : terms) like += t(a, at);
    nearest = std::max(nearest, like);
  }
  return whole > 0 ? 1 - nearest / whole : 1;
}

double spread_at(const std::vector<Band>& bands, double novelty) {
  const auto found = std::ranges::find_if(bands, [&](const Band& b) { return novelty <= b.novelty; });
  if (found != bands.end()) return found->spread;
  return bands.empty() ? 0 : bands.back().spread;
}

std::pair<std::string, std::string> impl_and_variant(const std::string& impl) {
  const auto space = impl.find(' ');
  if (impl.starts_with("NCCL ")) return {impl.substr(0, space), impl.substr(space + 1)};
  if (impl.ends_with(" uneven")) return {impl.substr(0, space), ""};
  if (impl.starts_with("cublaslt_")) return {"cublaslt", ""};
  return {impl, ""};
}

Variant variant_among(const std::vector<std::string>& words, const std::string& variant) {
  const auto position = [&](const std::string& word) {
    return word.empty() ? 0.0 : static_cast<double>(std::ranges::find(words, word) - words.begin());
  };
  const auto space = variant.find(' ');
  if (space == std::string::npos) return {position(variant), 0};
  return {position(variant.substr(0, space)), position(variant.substr(space + 1))};
}

Problem problem_of(const CalibrationRow& r) {
  return {r.shape, r.sms, impl_and_variant(r.impl).second, r.tile, r.group_rows};
}

std::vector<Neighbour> neighbours(const FittedFamily& f, const Machine& m, const Problem& p, std::size_t most) {
  std::vector<Neighbour> all;
  if (f.smooths.empty()) return all;
  const GemmTile tile = chosen_tile(m, p, f.choice, f.prices);
  const Values at = coordinates(m, p, tile, variant_among(f.words, p.variant));
  double whole = 0;
  for (const Likeness& t : f.smooths.front().terms) whole += t.amplitude * t.amplitude;
  for (std::size_t i = 0; i < f.anchors.size(); ++i) {
    double like = 0;
    for (const Likeness& t : f.smooths.front().terms) like += t(f.anchors[i], at);
    all.push_back({f.names[i], like / whole, f.rests[i]});
  }
  std::ranges::stable_sort(all, std::ranges::greater(), &Neighbour::likeness);
  all.resize(std::min(most, all.size()));
  return all;
}

Estimated estimate(const FittedFamily& f, const Machine& m, const Problem& p) {
  const GemmTile tile = chosen_tile(m, p, f.choice, f.prices);
  const Values at = coordinates(m, p, tile, variant_among(f.words, p.variant));
  double log_rest = 0;
  for (const Smooth& smooth : f.smooths) {
    log_rest += smooth.mean / static_cast<double>(f.smooths.size());
    for (std::size_t i = 0; i < f.anchors.size(); ++i) {
      double like = 0;
      for (const Likeness& t : smooth.terms) like += t(f.anchors[i], at);
      log_rest += smooth.weights[i] * like / static_cast<double>(f.smooths.size());
    }
  }
  Estimated e;
  e.us = priced(f.prices, features(m, p, tile)) * std::exp(log_rest);
  e.novelty = f.smooths.empty() ? 1 : novelty(f.smooths.front().terms, f.anchors, at);
  e.spread = spread_at(f.bands, e.novelty);
  return e;
}

}  // namespace railcast
